/* Preloaded into a process: its wall clock is wrong by the seconds that stand in the file that WRONG_CLOCK
 * names, as eight bytes; writing others there sets its clock while it runs. Times between two moments stay
 * what they are.
 *
 * Not the faketime library: it does not know cnd_timedwait, in which librdkafka waits for a point of the
 * wall clock, so that a wait of a tenth of a second lasts an hour, or no time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *seconds;
static int (*wait)(cnd_t *, mtx_t *, const struct timespec *);

__attribute__((constructor)) static void find(void) {
    const char *path = getenv("WRONG_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *found = mmap(NULL, sizeof *seconds, PROT_READ, MAP_SHARED, file, 0);
    if (found == MAP_FAILED) {
        abort();
    }
    seconds = found;
    close(file);
    *(void **)&wait = dlsym(RTLD_NEXT, "cnd_timedwait");
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && seconds && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        now->tv_sec += *seconds;
    }
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec exact;
    int failed = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now) {
        *now = exact.tv_sec;
    }
    return exact.tv_sec;
}

/* In short waits, since one that is under way must feel it when the clock is set, as with the kernel's. */
int cnd_timedwait(cnd_t *restrict changed, mtx_t *restrict lock, const struct timespec *restrict until) {
    const long slice = 20 * 1000 * 1000, second = 1000 * 1000 * 1000;
    for (;;) {
        struct timespec now, end;
        clock_gettime(CLOCK_REALTIME, &now);
        long long left = (until->tv_sec - now.tv_sec) * (long long)second + until->tv_nsec - now.tv_nsec;
        if (left <= 0) {
            return thrd_timedout;
        }
        syscall(SYS_clock_gettime, CLOCK_REALTIME, &end);
        end.tv_nsec += left < slice ? (long)left : slice;
        end.tv_sec += end.tv_nsec / second;
        end.tv_nsec %= second;
        int woken = wait(changed, lock, &end);
        if (woken != thrd_timedout) {
            return woken;
        }
    }
}
