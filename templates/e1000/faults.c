// SPDX-License-Identifier: GPL-2.0
/*
 * Lets one memory allocation after the other fail while a driver binds to a device,
 * or an interface comes up (Documentation/fault-injection/fault-injection.rst,
 * "Systematic faults using fail-nth"):
 *
 *	faults slab|pages ERRORS bind DRIVER DEVICE   of the PCI bus; it is unbound
 *	faults slab|pages ERRORS up IFACE             it is down when it begins
 *
 * Each round of a sweep lets the Nth allocation fail, from the first on, until a round
 * meets no Nth one. A round that succeeds is undone. It fails if there is an error without
 * a failed allocation.
 *
 * It is either small memory (failslab) or whole pages (fail_page_alloc) that fails. If
 * both were counted, many would be passed over: how many pages are asked for depends on
 * what the round before has left, and so would the number of each small one behind them.
 * That still holds of the pages behind them; so it sweeps again, ten times at most, until
 * so many ERRORS were met in one sweep, and fails if they never are.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if.h>
#include <linux/sockios.h>

enum { SWEEPS = 10 };
enum { MOST = 5000 }; /* rounds: more than any driver allocates */

static void __attribute__((noreturn)) fail(const char *what)
{
	perror(what);
	exit(1);
}

static int binding, unbinding; /* the driver's files */
static const char *device;
static int network;
static struct ifreq interface;

/* A file of the kernel's fault injection. */
static void configure(const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		fail(path);
	close(fd);
}

static void choose(const char *kind)
{
	int slab = !strcmp(kind, "slab");

	/* No cache has the flag that this filter asks for, and no page such an order. */
	configure("failslab/cache-filter", slab ? "N" : "Y");
	configure("fail_page_alloc/min-order", slab ? "20" : "0");
	configure("failslab/ignore-gfp-wait", "N");
	configure("fail_page_alloc/ignore-gfp-wait", "N");
	configure("fail_page_alloc/ignore-gfp-highmem", "N");
	configure("failslab/verbose", "0");
	configure("fail_page_alloc/verbose", "0");
}

static int setting; /* where the number is written */

/* Opening a file allocates memory, too, and so is done before the number is set. */
static int fail_nth(int how)
{
	int fd = open("/proc/thread-self/fail-nth", how);

	if (fd < 0)
		fail("fail-nth");
	return fd;
}

static void set(int nth)
{
	char text[16];
	int size = snprintf(text, sizeof(text), "%d", nth);

	if (write(setting, text, size) != size)
		fail("fail-nth");
}

/* Whether the failure that was set has been met; the file can be read once. */
static int was_met(int fd)
{
	char text[16] = {};

	if (read(fd, text, sizeof(text) - 1) < 1)
		fail("fail-nth");
	return !atoi(text);
}

static int bind_device(int file)
{
	int size = strlen(device);

	return write(file, device, size) == size ? 0 : -1;
}

static int set_up(int is_up)
{
	interface.ifr_flags = is_up ? IFF_UP : 0;
	return ioctl(network, SIOCSIFFLAGS, &interface);
}

static int take(void)
{
	return device ? bind_device(binding) : set_up(1);
}

static int undo(void)
{
	return device ? bind_device(unbinding) : set_up(0);
}

static int driver_file(const char *driver, const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s/%s", driver, name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		fail(path);
	return fd;
}

/* Lets each allocation fail in turn, and returns how many of them led to an error. */
static int sweep(void)
{
	int errors = 0;

	for (int nth = 1; nth < MOST; nth++) {
		int left = fail_nth(O_RDONLY);
		int error, met;

		set(nth);
		error = take() ? errno : 0;
		met = was_met(left);
		set(0);
		close(left);
		if (error && !met) {
			fprintf(stderr, "without a failed allocation: %s\n", strerror(error));
			exit(1);
		}
		if (!error && undo())
			fail("undone");
		if (!met) {
			printf("%d allocations failed: %d led to an error, %d were borne\n",
			       nth - 1, errors, nth - 1 - errors);
			return errors;
		}
		errors += !!error;
	}
	fprintf(stderr, "there is no end to the allocations\n");
	exit(1);
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[3], "bind")) {
		binding = driver_file(argv[4], "bind");
		unbinding = driver_file(argv[4], "unbind");
		device = argv[5];
	} else if (argc == 5 && !strcmp(argv[3], "up")) {
		network = socket(AF_INET, SOCK_DGRAM, 0);
		strlcpy(interface.ifr_name, argv[4], sizeof(interface.ifr_name));
	} else {
		fprintf(stderr, "usage: faults slab|pages ERRORS bind DRIVER DEVICE | up IFACE\n");
		return 2;
	}
	if (network < 0)
		fail("socket");
	choose(argv[1]);
	setting = fail_nth(O_WRONLY);
	for (int i = 0; i < SWEEPS; i++)
		if (sweep() >= atoi(argv[2]))
			return 0;
	return 1;
}
