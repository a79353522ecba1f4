// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's end of `./rfl bench e1000`; tests/bench/host_end.py is the host's.
 * It does as little as it can for a byte or a packet; busybox's tools do more.
 *
 *	traffic tcp-send ADDRESS PORT SECONDS
 *	traffic tcp-recv ADDRESS PORT SECONDS
 *	traffic udp-send ADDRESS PORT SECONDS
 *	traffic udp-recv ADDRESS PORT SECONDS
 *	traffic ping     ADDRESS COUNT MILLISECONDS, the pause before each
 *
 * It prints `NAME VALUE` lines: `units` that came through (bytes of TCP, datagrams
 * of UDP, echoes), the `nanoseconds` that they took, and for ping the `median`
 * round trip in nanoseconds.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <linux/in.h>

enum { STREAM = 1, DATAGRAM = 2, RAW = 3 }; /* SOCK_*, include/linux/net.h */
enum { INET = 2, RECEIVE_TIMEOUT = 20 };    /* AF_INET, SO_RCVTIMEO_OLD */
static const long long SECOND = 1000000000;
enum { SMALL = 18 };	  /* bytes of UDP that make a frame of 60 bytes */
enum { BATCH = 64 };	  /* datagrams that the host sends for one of ours */
enum { MOST_ECHOES = 10000 };

struct echo { /* RFC 792 */
	unsigned char type, code;
	unsigned short checksum, identifier, sequence;
};

static char block[1 << 17];

static void __attribute__((noreturn)) fail(const char *what)
{
	perror(what);
	exit(1);
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * SECOND + time.tv_nsec;
}

static unsigned int address(const char *text)
{
	unsigned int value = 0;

	for (int byte = 0; byte < 4; byte++) {
		value |= (unsigned int)atoi(text) << (8 * byte);
		text = strchr(text, '.');
		if (!text)
			break;
		text++;
	}
	return value;
}

/* A socket whose peer is set, and whose reads end after a while. */
static int dial(int type, int protocol, const char *host, int port)
{
	struct sockaddr_in peer = {
		.sin_family = INET,
		.sin_port = __builtin_bswap16(port),
		.sin_addr = { .s_addr = address(host) },
	};
	struct timeval patience = { .tv_sec = type == DATAGRAM ? 1 : 10 };
	int fd = syscall(__NR_socket, INET, type, protocol);

	if (fd < 0)
		fail("socket");
	if (syscall(__NR_setsockopt, fd, 1, RECEIVE_TIMEOUT, &patience, sizeof(patience)))
		fail("setsockopt");
	if (syscall(__NR_connect, fd, &peer, sizeof(peer)))
		fail("connect");
	return fd;
}

static void show(long long units, long long begun)
{
	printf("units %lld\nnanoseconds %lld\n", units, now() - begun);
}

static void tcp_send(const char *host, int port, int seconds)
{
	int fd = dial(STREAM, 0, host, port);
	long long begun = now(), end = begun + seconds * SECOND, sent = 0;

	while (now() < end) {
		long size = write(fd, block, sizeof(block));

		if (size < 0)
			fail("send");
		sent += size;
	}
	/* What counts has arrived: the host answers when it has seen the end. */
	if (syscall(__NR_shutdown, fd, 1))
		fail("shutdown");
	if (read(fd, block, 1) != 1)
		fail("the host's answer");
	show(sent, begun);
}

static void tcp_recv(const char *host, int port, int seconds)
{
	int fd = dial(STREAM, 0, host, port);
	long long begun = now(), end = begun + seconds * SECOND, got = 0;

	while (now() < end) {
		long size = read(fd, block, sizeof(block));

		if (size <= 0)
			fail("receive");
		got += size;
	}
	show(got, begun);
}

static void udp_send(const char *host, int port, int seconds)
{
	int fd = dial(DATAGRAM, 0, host, port);
	long long begun = now(), end = begun + seconds * SECOND, sent = 0;

	while (now() < end) {
		for (int i = 0; i < BATCH; i++, sent++) {
			if (write(fd, block, SMALL) != SMALL)
				fail("send");
		}
	}
	show(sent, begun);
}

/* The host sends BATCH datagrams for each of ours, so that none needs to be lost. */
static void udp_recv(const char *host, int port, int seconds)
{
	int fd = dial(DATAGRAM, 0, host, port);
	long long begun = now(), end = begun + seconds * SECOND, got = 0;
	int coming = 0;

	while (now() < end) {
		for (; coming <= 2 * BATCH; coming += BATCH)
			write(fd, block, SMALL);
		if (read(fd, block, sizeof(block)) > 0) {
			got++;
			coming--;
		} else {
			coming = 0; /* lost, after all */
		}
	}
	show(got, begun);
}

static unsigned short checksum(const unsigned short *words, int count)
{
	unsigned int sum = 0;

	while (count--)
		sum += *words++;
	sum = (sum >> 16) + (sum & 0xffff);
	return ~(sum + (sum >> 16));
}

/* The median, by the numbers in order; few enough for the simplest sort. */
static long long median(long long *values, int count)
{
	for (int i = 1; i < count; i++) {
		long long value = values[i];
		int at = i;

		for (; at && values[at - 1] > value; at--)
			values[at] = values[at - 1];
		values[at] = value;
	}
	return values[count / 2];
}

static void ping(const char *host, int count, int pause)
{
	static long long trips[MOST_ECHOES];
	int fd = dial(RAW, IPPROTO_ICMP, host, 0);
	long long begun = now();

	if (count < 1 || count > MOST_ECHOES)
		exit(2);
	for (int number = 0; number < count; number++) {
		struct echo request = { .type = 8, .identifier = 1, .sequence = number };
		unsigned char answer[128];
		struct echo *reply = (struct echo *)(answer + 20); /* after IP's header */
		long long sent;

		request.checksum = checksum((unsigned short *)&request, sizeof(request) / 2);
		if (pause)
			usleep(pause * 1000);
		sent = now();
		if (write(fd, &request, sizeof(request)) < 0)
			fail("send");
		do {
			if (read(fd, answer, sizeof(answer)) < 28)
				fail("no echo");
		} while (reply->type || reply->sequence != request.sequence);
		trips[number] = now() - sent;
	}
	show(count, begun);
	printf("median %lld\n", median(trips, count));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *word;
		void (*run)(const char *host, int first, int second);
	} runs[] = {
		{ "tcp-send", tcp_send }, { "tcp-recv", tcp_recv }, { "udp-send", udp_send },
		{ "udp-recv", udp_recv }, { "ping", ping },
	};

	for (size_t i = 0; argc == 5 && i < sizeof(runs) / sizeof(*runs); i++) {
		if (!strcmp(argv[1], runs[i].word)) {
			runs[i].run(argv[2], atoi(argv[3]), atoi(argv[4]));
			return 0;
		}
	}
	return 2;
}
