/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Steps in every order
 */
#ifndef __NESTED_ORDER_H
#define __NESTED_ORDER_H

/* The @nth of all orders of the numbers below @count */
static inline void nth_order(unsigned int nth, unsigned int count,
			     unsigned int *order)
{
	unsigned int i, j, swap;

	for (i = 0; i < count; i++)
		order[i] = i;
	for (i = 0; i < count; i++) {
		j = i + nth % (count - i);
		nth /= count - i;
		swap = order[i];
		order[i] = order[j];
		order[j] = swap;
	}
}

#endif
