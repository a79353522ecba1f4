// SPDX-License-Identifier: GPL-2.0
/*
 *	pings HOST FIRST LAST
 *
 * sends an ICMP echo request for each number of bytes from FIRST to LAST, one after
 * the other, and fails unless each comes back with the bytes that it went with.
 */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

int main(int argc, char **argv)
{
	int first = argc == 4 ? atoi(argv[2]) : -1, last = argc == 4 ? atoi(argv[3]) : -1;
	struct sockaddr_in host = { .sin_family = AF_INET };
	struct pollfd coming = { .events = POLLIN };

	if (first < 0 || last < first || last > MOST) {
		fprintf(stderr, "usage: pings HOST FIRST LAST, up to %d\n", MOST);
		return 2;
	}
	host.sin_addr.s_addr = address(argv[1]);
	coming.fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	if (coming.fd < 0 || connect(coming.fd, &host, sizeof(host)))
		fail("socket");
	request.head.type = ICMP_ECHO;
	request.head.un.echo.id = getpid();
	for (int size = first; size <= last; size++) {
		int whole = sizeof(request.head) + size;

		for (int i = 0; i < size; i++)
			request.bytes[i] = size + i;
		request.head.un.echo.sequence = size;
		request.head.checksum = 0;
		request.head.checksum = checksum((const unsigned char *)&request, whole);
		if (send(coming.fd, &request, whole, 0) != whole)
			fail("send");
		do {
			if (poll(&coming, 1, PATIENCE) < 1) {
				fprintf(stderr, "%d bytes did not come back\n", size);
				return 1;
			}
		} while (!is_answer(recv(coming.fd, packet, sizeof(packet), 0), size));
	}
	printf("%d pings came back\n", last - first + 1);
	return 0;
}
