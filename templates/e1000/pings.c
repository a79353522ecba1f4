// SPDX-License-Identifier: GPL-2.0
/*
 *	pings HOST FIRST LAST [TIMES [IFACE]]
 *
 * sends TIMES (1) ICMP echo requests for each number of bytes from FIRST to LAST, one
 * after the other and each as soon as the one before is back, and fails unless each
 * comes back with the bytes that it went with.
 *
 * busybox's `ping -A` is no judge of a driver: it calls up to 1% lost no loss, and its
 * socket, which sees every other ping's answers too, has room for some twenty packets.
 */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <asm/socket.h>
#include <linux/icmp.h>
#include <linux/in.h>
#include <linux/ip.h>

enum { PATIENCE = 5000 }; /* milliseconds */
enum { MOST = 65507 };

static struct {
	struct icmphdr head;
	unsigned char bytes[MOST];
} request;
static unsigned char packet[1 << 16];

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

/* RFC 1071, over bytes that begin at an even address. */
static unsigned short checksum(const unsigned char *data, int size)
{
	unsigned int sum = 0;

	for (int i = 0; i < size; i++)
		sum += data[i] << (i % 2 ? 8 : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Whether the packet that came is the answer, and right. */
static int is_answer(int came, int size)
{
	const struct iphdr *ip = (const void *)packet;
	const struct icmphdr *head = (const void *)(packet + 4 * ip->ihl);

	if (came < 4 * ip->ihl + (int)sizeof(*head) || head->type != ICMP_ECHOREPLY ||
	    head->un.echo.id != request.head.un.echo.id ||
	    head->un.echo.sequence != request.head.un.echo.sequence)
		return 0;
	if (came != 4 * ip->ihl + (int)sizeof(*head) + size ||
	    memcmp(head + 1, request.bytes, size)) {
		fprintf(stderr, "%d bytes came back altered\n", size);
		exit(1);
	}
	return 1;
}

/* Sends one and waits for it to come back. */
static void send_one(int fd, int size)
{
	static unsigned short sequence;
	struct pollfd coming = { .fd = fd, .events = POLLIN };
	int whole = sizeof(request.head) + size;

	for (int i = 0; i < size; i++)
		request.bytes[i] = size + i;
	request.head.un.echo.sequence = sequence++;
	request.head.checksum = 0;
	request.head.checksum = checksum((const unsigned char *)&request, whole);
	if (send(fd, &request, whole, 0) != whole)
		fail("send");
	do {
		if (poll(&coming, 1, PATIENCE) < 1) {
			fprintf(stderr, "ping %u, of %d bytes, did not come back\n",
				sequence, size);
			exit(1);
		}
	} while (!is_answer(recv(fd, packet, sizeof(packet), 0), size));
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
	host.sin_addr.s_addr = address(argv[1]);
	fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	if (fd < 0)
		fail("socket");
	if (argc > 5 && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, argv[5], strlen(argv[5])))
		fail(argv[5]);
	if (connect(fd, &host, sizeof(host)))
		fail(argv[1]);
	request.head.type = ICMP_ECHO;
	request.head.un.echo.id = getpid();
	for (int size = first; size <= last; size++)
		for (int i = 0; i < times; i++)
			send_one(fd, size);
	printf("%d pings came back\n", (last - first + 1) * times);
	return 0;
}
