// SPDX-License-Identifier: GPL-2.0
/*
 * What a test asks of a network interface by ioctl, as ethtool and iproute2 do:
 *
 *	nic IFACE info             driver, bus, link and ring sizes
 *	nic IFACE rings RX TX      set the ring sizes
 *	nic IFACE join|leave MAC   a multicast address
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/sockios.h>

static int fd;
static struct ifreq request;

static void __attribute__((noreturn)) fail(const char *what)
{
	perror(what);
	exit(1);
}

static void ethtool(void *command, const char *what)
{
	request.ifr_data = command;
	if (ioctl(fd, SIOCETHTOOL, &request))
		fail(what);
}

static int info(void)
{
	struct ethtool_drvinfo driver = { .cmd = ETHTOOL_GDRVINFO };
	struct ethtool_value link = { .cmd = ETHTOOL_GLINK };
	struct ethtool_ringparam rings = { .cmd = ETHTOOL_GRINGPARAM };

	ethtool(&driver, "driver information");
	ethtool(&link, "link");
	ethtool(&rings, "ring sizes");
	printf("driver %s\nbus %s\nlink %s\n", driver.driver, driver.bus_info,
	       link.data ? "up" : "down");
	printf("rx %u of %u\ntx %u of %u\n", rings.rx_pending, rings.rx_max_pending,
	       rings.tx_pending, rings.tx_max_pending);
	return 0;
}

static int set_rings(int rx, int tx)
{
	struct ethtool_ringparam rings = { .cmd = ETHTOOL_GRINGPARAM };

	ethtool(&rings, "ring sizes");
	rings.cmd = ETHTOOL_SRINGPARAM;
	rings.rx_pending = rx;
	rings.tx_pending = tx;
	ethtool(&rings, "set ring sizes");
	return 0;
}

static int multicast(unsigned long what, const char *mac)
{
	for (int byte = 0; byte < 6; byte++, mac += 3)
		request.ifr_hwaddr.sa_data[byte] = strtol(mac, NULL, 16);
	if (ioctl(fd, what, &request))
		fail("multicast");
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";

	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0)
		fail("socket");
	strlcpy(request.ifr_name, argc > 1 ? argv[1] : "", sizeof(request.ifr_name));
	if (argc == 3 && !strcmp(what, "info"))
		return info();
	if (argc == 5 && !strcmp(what, "rings"))
		return set_rings(atoi(argv[3]), atoi(argv[4]));
	if (argc == 4 && strlen(argv[3]) == 17 && !strcmp(what, "join"))
		return multicast(SIOCADDMULTI, argv[3]);
	if (argc == 4 && strlen(argv[3]) == 17 && !strcmp(what, "leave"))
		return multicast(SIOCDELMULTI, argv[3]);
	fprintf(stderr, "usage: nic IFACE info | rings RX TX | join MAC | leave MAC\n");
	return 2;
}
