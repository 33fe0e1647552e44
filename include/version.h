// version.h: the program's version, which a job records. It changes whenever the same request may get another answer.
#pragma once

constexpr const char* kVersion = "2026.11";
