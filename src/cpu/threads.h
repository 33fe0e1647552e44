// threads.h: where OpenMP's threads run.
#pragma once

// Pins each thread of the calling thread's team to a core of its own, if there are as many threads as cores and the
// user has not said otherwise (OMP_PROC_BIND). Without it, two spinning threads may share a core for seconds while
// another is idle.
void pin_threads();
