// interrupt.h: Ctrl-C stops an answer instead of the program.
#pragma once
#include <atomic>

// Clears the flag; from here on SIGINT sets it.
void catch_interrupts();
// SIGINT ends the program again; the flag stays as it is.
void release_interrupts();
const std::atomic<bool>& interrupted();

// Ends the program by SIGINT, so that a shell ends its loop too.
[[noreturn]] void end_by_interrupt();
