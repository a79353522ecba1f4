# SPDX-License-Identifier: GPL-2.0
# sh up.sh IFACE ADDRESS: the interface comes up with an address, and has its link.

ip link set "$1" up
ip -4 address show dev "$1" | grep -q "$2/24" || ip address add "$2/24" dev "$1"
for _ in $(seq 100); do
    [ "$(cat "/sys/class/net/$1/carrier")" = 1 ] && exit
    sleep 0.1
done
echo "$1 has no link" >&2
exit 1
