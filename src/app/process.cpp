// process.cpp: adapts to shared cores, CPU quotas, small stacks, few threads and little memory, or says in one line why
// it cannot.
//
// With GCC's OpenMP, a thread that waits for others spins 300,000 rounds, some milliseconds. Where cores are shared, it
// takes that time from the thread that it waits for, at every barrier. So it sleeps after 10,000 rounds, a fraction of
// a millisecond. Barriers on an idle machine take less; with 1,000 rounds even those would end in system calls.
#include "process.h"

#include <malloc.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#include "base/cgroup.h"
#include "error.h"

namespace {

constexpr rlim_t kStackBytes = rlim_t(8) << 20;  // what Linux usually gives
constexpr rlim_t kLeastStackBytes = rlim_t(256) << 10;
constexpr size_t kSmallThreadStackBytes = size_t(1) << 20;  // enough for this program's threads

// The main thread's stack grows up to the current limit. Other threads' stacks have the size of the limit at the start,
// which may be too small to run in, or too large for a limited address space.
void set_stacks() {
    rlimit limit{};
    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < kStackBytes) {
        const rlimit wanted{kStackBytes, std::max(limit.rlim_max, kStackBytes)};
        const rlimit allowed{limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_STACK, &wanted) != 0) setrlimit(RLIMIT_STACK, &allowed);
        if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < kLeastStackBytes)
            fail("stack: at least {} KB are needed, and ulimit -s allows {}", kLeastStackBytes >> 10,
                 limit.rlim_cur >> 10);
    }
    rlimit space{};
    const bool narrow = getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY;
    // A thread that allocates while another does reserves 64 MB of addresses for itself.
    if (narrow) mallopt(M_ARENA_MAX, 1);
    pthread_attr_t threads;
    size_t bytes = 0;
    if (pthread_getattr_default_np(&threads) != 0) return;
    pthread_attr_getstacksize(&threads, &bytes);
    if (narrow || bytes < kSmallThreadStackBytes || bytes > kStackBytes) {
        pthread_attr_setstacksize(&threads, kSmallThreadStackBytes);
        pthread_setattr_default_np(&threads);
    }
    pthread_attr_destroy(&threads);
}

int usable_cpus() {
    cpu_set_t allowed;
    return sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed)
                                                               : int(std::thread::hardware_concurrency());
}

void start_anew_if_needed(char** argv) {
    const auto settings = openmp_settings(std::getenv, usable_cpus(), cgroup_cpus());
    char self[4096];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (settings.empty() || n <= 0) return;
    self[n] = 0;
    for (const auto& [name, value] : settings) setenv(name.c_str(), value.c_str(), 1);
    execv(self, argv);  // if it fails, the program goes on with the settings that it has
}

// Throws Error if the system refuses n threads. OpenMP would end the process in words of its own.
void check_threads(int n) {
    std::mutex mutex;
    std::condition_variable opened;
    bool open = false;
    std::vector<std::thread> threads;
    std::string trouble;
    try {
        for (int i = 0; i < n; i++)
            threads.emplace_back([&] {
                std::unique_lock<std::mutex> lock(mutex);
                opened.wait(lock, [&] { return open; });
            });
    } catch (const std::system_error& e) {
        trouble = e.code().message();
    }
    {
        const std::lock_guard<std::mutex> lock(mutex);
        open = true;
    }
    opened.notify_all();
    for (std::thread& thread : threads) thread.join();
    if (!trouble.empty())
        fail(
            "threads: {} are needed, and {} can be had ({}); OMP_NUM_THREADS sets their number, ulimit -u and -v bound "
            "it",
            n, threads.size(), trouble);
}

// No exception may leave a parallel region.
void on_out_of_memory() {
    if (omp_get_level() == 0) throw std::bad_alloc();
    constexpr char kWords[] = "run: out of memory\n";  // not by the log, which may need memory
    static_cast<void>(!write(STDERR_FILENO, kWords, sizeof kWords - 1));
    _exit(kExitRequestFailed);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> openmp_settings(
    const std::function<const char*(const char*)>& environment, int n_cpus, double quota) {
    std::vector<std::pair<std::string, std::string>> settings;
    const char* const asked_threads = environment("OMP_NUM_THREADS");
    int n_threads = n_cpus;
    if (asked_threads) {
        n_threads = std::atoi(asked_threads);
    } else if (quota > 0 && std::ceil(quota) < n_cpus) {
        n_threads = int(std::ceil(quota));
        settings.emplace_back("OMP_NUM_THREADS", std::to_string(n_threads));
    }
    if (n_threads != 1 && !environment("GOMP_SPINCOUNT") && !environment("OMP_WAIT_POLICY"))
        settings.emplace_back("GOMP_SPINCOUNT", "10000");
    return settings;
}

void prepare_process(char** argv) {
    set_stacks();
    start_anew_if_needed(argv);
    std::set_new_handler(on_out_of_memory);
    check_threads(omp_get_max_threads());
}
