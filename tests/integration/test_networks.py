"""Networks for a test's devices, the peer, and steps that a run leaves out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild.verdict import Verdict
from tests.integration.harness import GUEST, Rfl

pytestmark = [
    pytest.mark.timeout(GUEST + 60, func_only=True),
    pytest.mark.usefixtures("kernel"),
]
Steps = Callable[[str], str]
CARD = """\
machine:
  network: false
  peer: true
  netdevs: ["user,id=cable"]
  devices:
    - pcie-root-port,id=port0,chassis=1
    - virtio-net-pci,id=card,bus=port0,netdev=cable,mac=52:54:00:12:34:56
steps:
"""
UP = """\
  - name: up
    run: |
      ip address add 10.0.2.20/24 dev eth0
      ip link set eth0 up
"""


def test_a_card_of_the_tests_own_reaches_the_peer_over_its_netdev(rfl: Rfl, steps: Steps) -> None:
    name = steps(
        f"""{CARD}
  - name: the only card is the test's
    run: ls -1 /sys/class/net; cat /sys/class/net/eth0/address
    output: ["/^eth0$/", "/^lo$/", "52:54:00:12:34:56"]
{UP}
  - ping: 10.0.2.2
  - name: there
    run: head -c 1000000 /dev/urandom > /tmp/sent;
      peer take < /tmp/sent | cut -d ' ' -f 2 > /tmp/told;
      sha256sum < /tmp/sent | cut -d ' ' -f 1 | cmp - /tmp/told
  - name: back
    run: test "$(peer give 1000000 | sha256sum | cut -c 1-64)" = "$(peer digest 1000000)"
  - name: there and back
    run: peer echo < /tmp/sent | cmp - /tmp/sent
  - name: in datagrams
    run: peer udp 100 4; peer udp 100 1472; peer udp 20 60000
    output: [100 datagrams, 100 datagrams, 20 datagrams]
  - name: by busybox too
    run: echo digest 5 | nc 10.0.2.2 $RFL_PEER_TCP
    output: /^[0-9a-f]+$/
  - qmp: {{execute: device_del, arguments: {{id: card}}}}
  - run: test -e /sys/class/net/eth0
    status: 1
  - qmp: {{execute: device_add, arguments: {{driver: virtio-net-pci, bus: port0, netdev: cable}}}}
  - wait-for: test -e /sys/class/net/eth0
"""
    )

    rfl.test(name).passed()


PROGRAM = """\
#include <stdio.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>

int main(int argc, char **argv)
{
	printf("%s has %d arguments, and SIOCETHTOOL is %x\\n", argv[0], argc - 1, SIOCETHTOOL);
	return argc - 1;
}
"""


def test_a_program_of_the_tests_own_is_a_command_of_the_guest(
    rfl: Rfl, module_at: Callable[..., Path]
) -> None:
    step = "{run: tell one two, status: 2, output: 'tell has 2 arguments, and SIOCETHTOOL is 8946'}"
    folder = module_at(test=f"programs: [tell.c]\nsteps: [{step}]\n")
    (folder / "tell.c").write_text(PROGRAM)

    rfl.test(str(folder)).passed()

    (folder / "tell.c").write_text("int main(void)\n{\n\treturn x;\n}\n")

    run = rfl.test(str(folder))
    assert "tell.c does not build" in run.came_to(Verdict.BUILD_ERROR)
    assert f"{folder / 'tell.c'}:3:9: error: " in run.text


def test_what_a_run_leaves_out_is_counted(rfl: Rfl, steps: Steps) -> None:
    name = steps(
        """\
steps:
  - {name: first, run: "true", quick: true}
  - {name: long, run: "true"}
  - {name: fails on purpose, run: "false", needs: [MODULES, NO_SUCH_OPTION], quick: true}
"""
    )

    whole, whole_result = rfl.test(name), rfl.result()
    quick, quick_result = rfl.test(name, "--quick"), rfl.result()

    assert "2 steps, 1 skipped, in" in whole.passed()
    assert "1 step (--quick), 1 skipped, in" in quick.passed()
    assert "fails on purpose: the kernel is built without CONFIG_NO_SUCH_OPTION" in quick.text
    for result, titles in ((whole_result, ["first", "long"]), (quick_result, ["first"])):
        assert [step["title"] for step in result["steps"]] == titles
        assert [step["title"] for step in result["skipped"]] == ["fails on purpose"]
    assert (whole_result["quick"], quick_result["quick"]) == (False, True)
    assert quick_result["reproduce"].endswith(" --quick")


def test_a_test_that_was_skipped_as_a_whole_does_not_pass(rfl: Rfl, steps: Steps) -> None:
    name = steps("steps:\n  - {run: 'true', needs: [NO_SUCH_OPTION]}\n")

    assert "CONFIG_NO_SUCH_OPTION" in rfl.test(name).came_to(Verdict.USAGE)
