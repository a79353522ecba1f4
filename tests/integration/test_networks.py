"""Networks for a test's devices, the peer, and steps that a run leaves out."""

from __future__ import annotations

from collections.abc import Callable

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
      (echo take; cat /tmp/sent) | nc 10.0.2.2 $RFL_PEER_TCP | cut -d ' ' -f 2 > /tmp/told;
      sha256sum < /tmp/sent | cut -d ' ' -f 1 | cmp - /tmp/told
  - name: back
    run: echo give 1000000 | nc 10.0.2.2 $RFL_PEER_TCP | sha256sum | cut -d ' ' -f 1 > /tmp/came;
      echo digest 1000000 | nc 10.0.2.2 $RFL_PEER_TCP | cmp - /tmp/came
  - name: there and back
    run: (echo echo; cat /tmp/sent) | nc 10.0.2.2 $RFL_PEER_TCP | cmp - /tmp/sent
  - qmp: {{execute: device_del, arguments: {{id: card}}}}
  - wait-for: test ! -e /sys/class/net/eth0
"""
    )

    rfl.test(name).passed()


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
