// threads.cpp: one core a thread.
#include "cpu/threads.h"

#include <omp.h>
#include <sched.h>

#include <vector>

void pin_threads() {
    static thread_local bool done = false;
    if (done) return;
    done = true;
    cpu_set_t allowed;
    if (omp_get_proc_bind() != omp_proc_bind_false || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    std::vector<int> cores;
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &allowed)) cores.push_back(core);
    if (int(cores.size()) != omp_get_max_threads()) return;
#pragma omp parallel
    {
        cpu_set_t own;
        CPU_ZERO(&own);
        CPU_SET(cores[size_t(omp_get_thread_num()) % cores.size()], &own);
        sched_setaffinity(0, sizeof own, &own);  // a failure costs speed only
    }
}
