/* SPDX-License-Identifier: GPL-2.0 */
/* What nolibc lacks of sockets, and the kernel's <linux/if.h> includes. */
#ifndef _SYS_SOCKET_H
#define _SYS_SOCKET_H

#include <sys/syscall.h>
#include <unistd.h>

/* include/linux/socket.h, include/linux/net.h */
#define AF_INET 2
#define AF_PACKET 17
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3
#define MSG_DONTWAIT 0x40
#define SHUT_WR 1

struct sockaddr {
	unsigned short sa_family;
	char sa_data[14];
};

static inline int socket(int domain, int type, int protocol)
{
	return syscall(__NR_socket, domain, type, protocol);
}

static inline int bind(int fd, const void *address, unsigned int size)
{
	return syscall(__NR_bind, fd, address, size);
}

static inline int connect(int fd, const void *address, unsigned int size)
{
	return syscall(__NR_connect, fd, address, size);
}

static inline int shutdown(int fd, int how)
{
	return syscall(__NR_shutdown, fd, how);
}

static inline int setsockopt(int fd, int level, int name, const void *value, unsigned int size)
{
	return syscall(__NR_setsockopt, fd, level, name, value, size);
}

static inline long send(int fd, const void *data, size_t size, int flags)
{
	return syscall(__NR_sendto, fd, data, size, flags, NULL, 0);
}

static inline long recv(int fd, void *data, size_t size, int flags)
{
	return syscall(__NR_recvfrom, fd, data, size, flags, NULL, NULL);
}

#endif
