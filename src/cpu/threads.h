// threads.h: where OpenMP's threads run.
#pragma once

// Pins each thread of the calling thread's team to a core of its own, if there are as many threads as cores and
// OMP_PROC_BIND does not say otherwise. Without that, two spinning threads may share a core for seconds while another
// core is idle.
void pin_threads();
