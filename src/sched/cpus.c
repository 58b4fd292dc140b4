/* SPDX-License-Identifier: MIT */
/* Counting CPUs: the affinity mask and the cgroup's quota. */
#include "cpus.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Kernels are built for up to 8192 CPUs; a mask too small for this one's is EINVAL. */
#define MOST_CPUS 65536

unsigned hw_cpus_affinity(void)
{
    for (size_t cpus = 1024; cpus <= MOST_CPUS; cpus *= 2) {
        cpu_set_t *mask = CPU_ALLOC(cpus);
        if (!mask)
            break;
        bool fits = sched_getaffinity(0, CPU_ALLOC_SIZE(cpus), mask) == 0;
        bool larger = !fits && errno == EINVAL;
        int count = fits ? CPU_COUNT_S(CPU_ALLOC_SIZE(cpus), mask) : 0;
        CPU_FREE(mask);
        if (count > 0)
            return (unsigned)count;
        if (!larger)
            break;
    }
    return 1;
}

unsigned hw_cpus_parse(const char *text, unsigned max)
{
    static const char blanks[] = " \t\r\n";
    unsigned long value = 0;
    if (!text)
        return 0;
    text += strspn(text, blanks);
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || text[digits + strspn(text + digits, blanks)] != '\0')
        return 0;
    value = strtoul(text, NULL, 10); /* ULONG_MAX where it overflows */
    return value >= 1 && value <= max ? (unsigned)value : 0;
}

/* The first line of root + directory + group + file; false where there is none. */
static bool read_line(char *line, int size, const char *root, const char *directory,
                      const char *group, const char *file)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s%s%s/%s", root, directory, group, file);
    if (length < 0 || (size_t)length >= sizeof path)
        return false;
    FILE *stream = fopen(path, "re");
    if (!stream)
        return false;
    bool got = fgets(line, size, stream) != NULL;
    fclose(stream);
    return got;
}

static unsigned divide(double quota, double period)
{
    if (!(quota > 0 && period > 0) || quota / period >= (double)INT_MAX)
        return 0;
    unsigned whole = (unsigned)(quota / period);
    return whole + (quota > whole * period);
}

/* The quota of one group under one mount point, in CPUs; 0 where it has none. */
static unsigned group_quota(const char *root, const char *mount, const char *group)
{
    char line[64], period[64];
    double q = 0, p = 0;
    if (read_line(line, sizeof line, root, mount, group, "cpu.max"))
        return sscanf(line, "%lf %lf", &q, &p) == 2 ? divide(q, p) : 0; /* "max 100000": none */
    if (read_line(line, sizeof line, root, mount, group, "cpu.cfs_quota_us") &&
        read_line(period, sizeof period, root, mount, group, "cpu.cfs_period_us"))
        return sscanf(line, "%lf", &q) == 1 && sscanf(period, "%lf", &p) == 1 ? divide(q, p) : 0;
    return 0;
}

static unsigned tighter(unsigned a, unsigned b) { return a == 0 || (b != 0 && b < a) ? b : a; }

/* The tightest quota from `group` up to the mount point itself. Cuts `group` up. Inside a container
 * the group's path is often the host's and leads nowhere; the mount point is then its own group. */
static unsigned tightest(const char *root, const char *mount, char *group)
{
    unsigned least = 0;
    for (;;) {
        size_t length = strlen(group);
        while (length > 0 && group[length - 1] == '/')
            group[--length] = '\0';
        least = tighter(least, group_quota(root, mount, group));
        char *slash = strrchr(group, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

/* True where `name` is one of the comma-separated controllers. */
static bool lists(const char *controllers, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = controllers; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

unsigned hw_cpus_quota(const char *root)
{
    char path[PATH_MAX], line[PATH_MAX];
    unsigned least = 0;
    int length = snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *stream = length < 0 || (size_t)length >= sizeof path ? NULL : fopen(path, "re");
    if (!stream)
        return 0;
    while (fgets(line, sizeof line, stream)) { /* "0::/group" or "4:cpu,cpuacct:/group" */
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *controllers++ = '\0';
        *group++ = '\0';
        group[strcspn(group, "\n")] = '\0';
        if (*controllers == '\0') {
            char again[PATH_MAX];
            memcpy(again, group, strlen(group) + 1);
            least = tighter(least, tightest(root, "/sys/fs/cgroup", group));
            least = tighter(least, tightest(root, "/sys/fs/cgroup/unified", again));
        } else if (lists(controllers, "cpu")) {
            char mount[PATH_MAX];
            if (snprintf(mount, sizeof mount, "/sys/fs/cgroup/%s", controllers) < PATH_MAX)
                least = tighter(least, tightest(root, mount, group));
        }
    }
    fclose(stream);
    return least;
}
