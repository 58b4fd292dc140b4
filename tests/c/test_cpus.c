/* SPDX-License-Identifier: MIT */
/* Counting CPUs: the text of HEADWAY_NUM_THREADS, the affinity mask, cgroup quotas in a made-up
 * /proc and /sys. */
#include "sched/cpus.h"

#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

static char root[64];

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/headway-cpus-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *ftw)
{
    (void)s;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Writes root + path, making its directories. */
static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        mkdir(full, 0777);
        *at = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void a_thread_count_is_a_decimal_number_in_range(void **state)
{
    (void)state;
    assert_int_equal(hw_cpus_parse("1", 1024), 1);
    assert_int_equal(hw_cpus_parse("007", 1024), 7);
    assert_int_equal(hw_cpus_parse(" 12 \n", 1024), 12);
    assert_int_equal(hw_cpus_parse("1024", 1024), 1024);
}

static void anything_else_is_no_thread_count(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",    " ",  "0",  "-1",  "+2",  "1025",
                                        "2.5", "4x", "x4", "4 4", "0x4", "99999999999999999999999"};
    assert_int_equal(hw_cpus_parse(NULL, 1024), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(hw_cpus_parse(wrong[i], 1024), 0);
}

static void affinity_counts_the_cpus_in_the_mask(void **state)
{
    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_int_equal(hw_cpus_affinity(), CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &before))
            CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    unsigned narrowed = hw_cpus_affinity();
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(narrowed, 1);
}

static void without_cgroups_there_is_no_quota(void **state)
{
    (void)state;
    assert_int_equal(hw_cpus_quota(root), 0);
    put("/proc/self/cgroup", "0::/\n");
    assert_int_equal(hw_cpus_quota(root), 0);
}

static void a_version_2_quota_is_rounded_up(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/job\n");
    put("/sys/fs/cgroup/job/cpu.max", "250000 100000\n");
    assert_int_equal(hw_cpus_quota(root), 3);
    put("/sys/fs/cgroup/job/cpu.max", "50000 100000\n");
    assert_int_equal(hw_cpus_quota(root), 1);
    put("/sys/fs/cgroup/job/cpu.max", "400000 100000\n");
    assert_int_equal(hw_cpus_quota(root), 4);
}

static void the_tightest_group_above_counts(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/user/slice/job\n");
    put("/sys/fs/cgroup/user/slice/job/cpu.max", "800000 100000\n");
    put("/sys/fs/cgroup/user/cpu.max", "300000 100000\n");
    assert_int_equal(hw_cpus_quota(root), 3);
}

static void max_is_no_quota(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/job\n");
    put("/sys/fs/cgroup/job/cpu.max", "max 100000\n");
    assert_int_equal(hw_cpus_quota(root), 0);
}

static void a_container_whose_group_path_leads_nowhere_has_its_mount_points_quota(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/docker/0123456789abcdef\n");
    put("/sys/fs/cgroup/cpu.max", "150000 100000\n");
    assert_int_equal(hw_cpus_quota(root), 2);
}

static void a_version_1_quota_is_found_among_the_controllers(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "12:cpuset:/\n4:cpu,cpuacct:/job\n1:name=systemd:/x\n");
    put("/sys/fs/cgroup/cpuset/cpu.cfs_quota_us", "100000\n");
    put("/sys/fs/cgroup/cpuset/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "500000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
    assert_int_equal(hw_cpus_quota(root), 5);
    put("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n");
    assert_int_equal(hw_cpus_quota(root), 0);
}

static void broken_files_are_no_quota(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "rubbish\n0::\n::\n0:cpu\n:cpu:/job/\n");
    put("/sys/fs/cgroup/cpu.max", "100000\n");
    put("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "100000\n");
    put("/sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "0\n");
    assert_int_equal(hw_cpus_quota(root), 0);
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_count_is_a_decimal_number_in_range),
        cmocka_unit_test(anything_else_is_no_thread_count),
        cmocka_unit_test(affinity_counts_the_cpus_in_the_mask),
        WITH_ROOT(without_cgroups_there_is_no_quota),
        WITH_ROOT(a_version_2_quota_is_rounded_up),
        WITH_ROOT(the_tightest_group_above_counts),
        WITH_ROOT(max_is_no_quota),
        WITH_ROOT(a_container_whose_group_path_leads_nowhere_has_its_mount_points_quota),
        WITH_ROOT(a_version_1_quota_is_found_among_the_controllers),
        WITH_ROOT(broken_files_are_no_quota),
    };
    return cmocka_run_group_tests_name("cpus", tests, NULL, NULL);
}
