// SPDX-License-Identifier: GPL-2.0
/*
 * Stops a card's transmitter behind its driver's back, as a broken one would:
 *
 *	stall DEVICE	of the PCI bus, such as 0000:00:10.0
 *
 * Clears the enable bit of TCTL, by the file that maps BAR 0 (Documentation/PCI/sysfs-pci.rst).
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TCTL = 0x400, ENABLE = 1 << 1, PAGE = 4096 };

int main(int argc, char **argv)
{
	char path[128];
	volatile unsigned int *tctl;
	char *page;
	int file;

	if (argc != 2)
		return 2;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0", argv[1]);
	file = open(path, O_RDWR | O_SYNC);
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (file < 0 || page == MAP_FAILED) {
		perror(path);
		return 1;
	}
	tctl = (volatile unsigned int *)(page + TCTL);
	if (!(*tctl & ENABLE)) {
		printf("the transmitter is off already\n");
		return 1;
	}
	*tctl &= ~ENABLE;
	return 0;
}
