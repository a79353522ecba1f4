/* Empty: what it has is for the kernel, and program.py makes it empty too. */
