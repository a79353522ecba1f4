// SPDX-License-Identifier: GPL-2.0
/*
 *	pings HOST FIRST LAST [TIMES [IFACE]]
 *
 * sends TIMES (1) ICMP echo requests for each number of bytes from FIRST to LAST, one
 * after the other and each as soon as the one before is back, and fails unless each
 * comes back with the bytes that it went with.
 *
 * busybox's `ping -A` is no judge of a driver: it calls up to 1% lost no loss, and its
 * raw socket gets the answers of every other ping, too, and loses its own among them.
 * Here the kernel sorts them (icmp(7), ping_group_range).
 */

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <asm/socket.h>
#include <linux/icmp.h>
#include <linux/in.h>

enum { PATIENCE = 5000 }; /* milliseconds */
enum { MOST = 65507 };

struct echo {
	struct icmphdr head;
	unsigned char bytes[MOST];
};

static void __attribute__((noreturn)) fail(const char *what)
{
	perror(what);
	exit(1);
}

static unsigned int address(const char *text)
{
	unsigned int value = 0;

	for (int byte = 0; byte < 4 && text; byte++) {
		value |= (unsigned int)atoi(text) << (8 * byte);
		text = strchr(text, '.');
		text += !!text;
	}
	return value;
}

/* Sends one and waits for it to come back. */
static void send_one(int fd, int size)
{
	static struct echo request, answer;
	struct pollfd coming = { .fd = fd, .events = POLLIN };
	int whole = sizeof(request.head) + size, came;

	for (int i = 0; i < size; i++)
		request.bytes[i] = size + i;
	request.head.type = ICMP_ECHO;
	request.head.un.echo.sequence++;
	if (send(fd, &request, whole, 0) != whole)
		fail("send");
	do {
		if (poll(&coming, 1, PATIENCE) < 1) {
			fprintf(stderr, "ping %u, of %d bytes, did not come back\n",
				request.head.un.echo.sequence, size);
			exit(1);
		}
		came = recv(fd, &answer, sizeof(answer), 0);
	} while (came < (int)sizeof(answer.head) ||
		 answer.head.un.echo.sequence != request.head.un.echo.sequence);
	if (answer.head.type != ICMP_ECHOREPLY || came != whole ||
	    memcmp(answer.bytes, request.bytes, size)) {
		fprintf(stderr, "%d bytes came back altered\n", size);
		exit(1);
	}
}

/* A socket that gets the answers to its own requests alone. */
static int open_socket(void)
{
	int range = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);
	int fd;

	if (range < 0 || write(range, "0 0", 3) != 3)
		fail("ping_group_range");
	close(range);
	fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	if (fd < 0)
		fail("socket");
	return fd;
}

int main(int argc, char **argv)
{
	int first = argc > 3 ? atoi(argv[2]) : -1, last = argc > 3 ? atoi(argv[3]) : -1;
	int times = argc > 4 ? atoi(argv[4]) : 1;
	struct sockaddr_in host = { .sin_family = AF_INET };
	int fd;

	if (argc > 6 || first < 0 || last < first || last > MOST || times < 1) {
		fprintf(stderr, "usage: pings HOST FIRST LAST [TIMES [IFACE]], up to %d\n", MOST);
		return 2;
	}
	fd = open_socket();
	if (argc > 5 && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, argv[5], strlen(argv[5])))
		fail(argv[5]);
	host.sin_addr.s_addr = address(argv[1]);
	if (connect(fd, &host, sizeof(host)))
		fail(argv[1]);
	for (int size = first; size <= last; size++)
		for (int i = 0; i < times; i++)
			send_one(fd, size);
	printf("%d pings came back\n", (last - first + 1) * times);
	return 0;
}
