// interrupt.h: Ctrl-C as the wish to stop an answer, instead of the end of the program.
#pragma once
#include <atomic>

// From here on SIGINT sets the flag, which is not set yet.
void catch_interrupts();
// SIGINT ends the program again; the flag stays as it is.
void release_interrupts();
const std::atomic<bool>& interrupted();

// Ends the program as SIGINT does, so that the shell and a script's loop know.
[[noreturn]] void end_by_interrupt();
