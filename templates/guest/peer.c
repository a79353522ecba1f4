// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's end of a test's peer (docs/test-yaml.md, "The peer"):
 *
 *	peer LINE...          a TCP connection: the line and what stdin has go out,
 *	                      what comes goes to stdout, both at once
 *	peer udp COUNT SIZE   COUNT datagrams of SIZE bytes go out, a few at a time,
 *	                      and must come back as they were
 *
 * Busybox's nc would do for a line; it sends a kilobyte at a time, and knows no UDP.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/in.h>

enum { IN_FLIGHT = 1 << 15, PATIENCE = 3000 }; /* bytes, at most; milliseconds */
enum { LEAST = 4, MOST = 65507 };	       /* bytes in a datagram (RFC 768) */
enum { MOST_DATAGRAMS = 1 << 16 };

static char out[1 << 16], in[1 << 16];
static char is_back[MOST_DATAGRAMS];

static void __attribute__((noreturn)) fail(const char *what)
{
	perror(what);
	exit(1);
}

/* The host's address in QEMU's user network, unless RFL_PEER_HOST names another. */
static unsigned int host(void)
{
	const char *text = getenv("RFL_PEER_HOST");
	unsigned int value = 0;

	if (!text)
		text = "10.0.2.2";
	for (int byte = 0; byte < 4 && text; byte++) {
		value |= (unsigned int)atoi(text) << (8 * byte);
		text = strchr(text, '.');
		text += !!text;
	}
	return value;
}

static int dial(int type, const char *variable)
{
	const char *port = getenv(variable);
	struct sockaddr_in peer = {
		.sin_family = AF_INET,
		.sin_addr = { .s_addr = host() },
	};
	int fd = socket(AF_INET, type, 0);

	if (!port) {
		fprintf(stderr, "%s is not set: the test has no `peer: true`\n", variable);
		exit(2);
	}
	peer.sin_port = __builtin_bswap16(atoi(port));
	if (fd < 0 || connect(fd, &peer, sizeof(peer)))
		fail("connect");
	return fd;
}

static void write_all(int fd, const char *data, long size)
{
	while (size > 0) {
		long done = write(fd, data, size);

		if (done < 0)
			fail("write");
		data += done;
		size -= done;
	}
}

/* Both directions at once, until the peer has closed its own. */
static int converse(char **words)
{
	int fd = dial(SOCK_STREAM, "RFL_PEER_TCP");
	struct pollfd both[] = { { .fd = fd, .events = POLLIN }, { .fd = fd } };
	long size = 0, sent = 0; /* of what was read from stdin last */
	int ended = 0;

	for (; *words; words++) {
		write_all(fd, *words, strlen(*words));
		write_all(fd, words[1] ? " " : "\n", 1);
	}
	for (;;) {
		if (sent == size && !ended) {
			size = read(0, out, sizeof(out));
			sent = 0;
			if (size < 0)
				fail("stdin");
			ended = !size;
			if (ended && shutdown(fd, SHUT_WR))
				fail("shutdown");
		}
		both[1].events = sent < size ? POLLOUT : 0;
		if (poll(both, 2, -1) < 0)
			fail("poll");
		if (both[1].revents & POLLOUT) {
			long done = send(fd, out + sent, size - sent, MSG_DONTWAIT);

			if (done < 0 && errno != EAGAIN)
				fail("the connection");
			sent += done > 0 ? done : 0;
		}
		if (both[0].revents) {
			long came = read(fd, in, sizeof(in));

			if (!came)
				return 0;
			if (came < 0)
				fail("the connection");
			write_all(1, in, came);
		}
	}
}

/* What the datagram of a number holds: the number, then bytes that follow from it. */
static void fill(char *data, int size, unsigned int number)
{
	for (int i = 0; i < size; i++)
		data[i] = i < 4 ? number >> (8 * i) : number + i;
}

static int datagrams(int count, int size)
{
	int fd = dial(SOCK_DGRAM, "RFL_PEER_UDP");
	struct pollfd coming = { .fd = fd, .events = POLLIN };
	int at_once = size < IN_FLIGHT / 16 ? 16 : IN_FLIGHT / size + 1;
	int sent = 0, back = 0;

	while (back < count) {
		unsigned int number = 0;

		for (; sent < count && sent < back + at_once; sent++) {
			fill(out, size, sent);
			if (write(fd, out, size) != size)
				fail("send");
		}
		if (poll(&coming, 1, PATIENCE) < 1) {
			fprintf(stderr, "%d of %d datagrams came back\n", back, sent);
			return 1;
		}
		if (read(fd, in, sizeof(in)) != size) {
			fprintf(stderr, "a datagram came back with another size\n");
			return 1;
		}
		memcpy(&number, in, sizeof(number));
		fill(out, size, number);
		if (number >= (unsigned int)sent || memcmp(in, out, size)) {
			fprintf(stderr, "a datagram came back altered\n");
			return 1;
		}
		if (is_back[number]++) {
			fprintf(stderr, "a datagram came back twice\n");
			return 1;
		}
		back++;
	}
	printf("%d datagrams came back\n", back);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "udp")) {
		int count = atoi(argv[2]), size = atoi(argv[3]);

		if (count > 0 && count <= MOST_DATAGRAMS && size >= LEAST && size <= MOST)
			return datagrams(count, size);
	} else if (argc > 1) {
		return converse(argv + 1);
	}
	fprintf(stderr, "usage: peer LINE... | peer udp COUNT SIZE; at most %d of %d to %d bytes\n",
		MOST_DATAGRAMS, LEAST, MOST);
	return 2;
}
