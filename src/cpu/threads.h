// threads.h: where OpenMP's threads run.
#pragma once

// Gives each thread of the calling thread's team a core of its own, if there are as many as cores and the user has not
// said otherwise (OMP_PROC_BIND). Left alone, two threads that wait by spinning can share a core for seconds while
// another is idle.
void pin_threads();
