// SPDX-License-Identifier: GPL-2.0
/*
 * Spoils what a driver reads of a card's EEPROM, as if the EEPROM were damaged:
 *
 *	garble DEVICE	of the PCI bus, such as 0000:00:10.0; until it is killed
 *
 * Takes the EEPROM's chip select away again and again, by the file that maps BAR 0. It is
 * for an 82544, whose driver needs some milliseconds for its bits; other models have a word
 * after two accesses.
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { EECD = 0x10, PAGE = 4096 };

int main(int argc, char **argv)
{
	char path[128];
	volatile unsigned int *eecd;
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
	eecd = (volatile unsigned int *)(page + EECD);
	for (;;)
		*eecd = 0;
}
