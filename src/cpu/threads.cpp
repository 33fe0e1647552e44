// threads.cpp: one core a thread.
#include "cpu/threads.h"

#include <omp.h>
#include <sched.h>

#include <vector>

namespace {

// Cores that the process may use. They are listed before any thread is pinned, since a new thread inherits the cores of
// the one that makes it.
const std::vector<int>& cores() {
    static const std::vector<int> found = [] {
        std::vector<int> list;
        cpu_set_t allowed;
        if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
            for (int core = 0; core < CPU_SETSIZE; core++)
                if (CPU_ISSET(core, &allowed)) list.push_back(core);
        return list;
    }();
    return found;
}

}  // namespace

void pin_threads() {
    static thread_local bool done = false;
    if (done) return;
    done = true;
    const std::vector<int>& list = cores();
    if (omp_get_proc_bind() != omp_proc_bind_false || int(list.size()) != omp_get_max_threads()) return;
#pragma omp parallel
    {
        cpu_set_t own;
        CPU_ZERO(&own);
        CPU_SET(list[size_t(omp_get_thread_num()) % list.size()], &own);
        sched_setaffinity(0, sizeof own, &own);  // if it fails, only speed is lost
    }
}
