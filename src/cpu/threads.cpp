// threads.cpp: one core a thread.
#include "cpu/threads.h"

#include <omp.h>
#include <sched.h>

#include <vector>

namespace {

// Cores that the process may use, as they were before any thread was pinned: threads inherit what their maker has.
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
        sched_setaffinity(0, sizeof own, &own);  // a failure costs speed only
    }
}
