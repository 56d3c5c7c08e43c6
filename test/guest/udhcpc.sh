#!/bin/busybox sh
# Called by udhcpc with the lease in its environment.
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip addr flush dev "$interface"
ip addr add "$ip/${mask:-24}" dev "$interface"
for address in $router; do ip route add default via "$address" dev "$interface"; done
set -- $staticroutes
while [ $# -ge 2 ]; do
  ip route add "$1" via "$2" dev "$interface" 2> /dev/null
  case $1 in 169.254.169.254*) : > /lease-has-metadata ;; esac
  shift 2
done
exit 0
