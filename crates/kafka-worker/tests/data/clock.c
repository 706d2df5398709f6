/* Another time of day for one process, by LD_PRELOAD: CLOCK_OFFSET names a file with a 64-bit number of seconds, which
   may change at any time. What waits for a time of day waits by the changed one, as it does when a machine's clock is set. */
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

static volatile int64_t *offset;

__attribute__((constructor)) static void begin(void) {
  int file = open(getenv("CLOCK_OFFSET"), O_RDONLY);
  void *memory = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
  if (file < 0 || memory == MAP_FAILED)
    abort();
  offset = memory;
}

static int machine(clockid_t clock, struct timespec *now) {
  return (int)syscall(SYS_clock_gettime, clock, now);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int result = machine(clock, now);
  if (result == 0 && clock == CLOCK_REALTIME && offset)
    now->tv_sec += *offset;
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec precise;
  (void)zone;
  int result = clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return result;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out)
    *out = now.tv_sec;
  return now.tv_sec;
}

/* At most 20 ms by the machine's clock. A wait that is not over by the changed one ends as if it had been woken for
   nothing, which every caller must expect. */
int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until) {
  static int (*real)(cnd_t *, mtx_t *, const struct timespec *);
  if (!real)
    real = (int (*)(cnd_t *, mtx_t *, const struct timespec *))dlsym(RTLD_NEXT, "cnd_timedwait");
  struct timespec now, slice;
  clock_gettime(CLOCK_REALTIME, &now);
  int64_t left = (int64_t)(until->tv_sec - now.tv_sec) * 1000000000 + until->tv_nsec - now.tv_nsec;
  if (left < 0)
    left = 0;
  if (left > 20000000)
    left = 20000000;
  machine(CLOCK_REALTIME, &slice);
  slice.tv_nsec += left;
  slice.tv_sec += slice.tv_nsec / 1000000000;
  slice.tv_nsec %= 1000000000;
  int result = real(condition, mutex, &slice);
  if (result != thrd_timedout)
    return result;
  clock_gettime(CLOCK_REALTIME, &now);
  int over = now.tv_sec > until->tv_sec || (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec);
  return over ? thrd_timedout : thrd_success;
}
