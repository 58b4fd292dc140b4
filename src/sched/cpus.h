/* SPDX-License-Identifier: MIT */
/* How many CPUs this process may use. Internal to sched. */
#ifndef HEADWAY_SCHED_CPUS_H
#define HEADWAY_SCHED_CPUS_H

/* CPUs in the calling thread's affinity mask, at least 1. Thread-safety: any. */
unsigned hw_cpus_affinity(void);

/*
 * CPUs the cgroup's quota amounts to, rounded up; 0 where there is no quota. Version 2 (cpu.max)
 * and version 1 (cpu.cfs_quota_us) are read, the process's own group and every one above it. `root`
 * goes before /proc and /sys: "" but for tests. Thread-safety: any.
 */
unsigned hw_cpus_quota(const char *root);

/*
 * A thread count as HEADWAY_NUM_THREADS gives it: decimal, 1 to max, blanks around it allowed.
 * 0 where the text is NULL or anything else. Thread-safety: any.
 */
unsigned hw_cpus_parse(const char *text, unsigned max);

#endif
