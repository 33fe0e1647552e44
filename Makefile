# Builds ./run, the tests, the tools and the fuzz targets. `make help` lists them.

MODE ?= default
ifeq ($(MODE),default)
BUILD ?= build
else
BUILD ?= build/$(MODE)
endif
ifeq ($(origin CXX),default)
CXX := $(if $(filter fuzz,$(MODE)),clang++,g++)
endif

# Files for one instruction set (src/cpu/kernels.h) belong to one architecture.
ARCH := $(firstword $(subst -, ,$(shell $(CXX) -dumpmachine)))
ISAS_OF_x86_64 := $(wildcard src/cpu/f32/avx*.cpp src/cpu/packed/a[mv]x*.cpp)
ISAS_OF_aarch64 := src/cpu/f32/neon.cpp
OTHER_ISAS := $(filter-out $(ISAS_OF_$(ARCH)),$(ISAS_OF_x86_64) $(ISAS_OF_aarch64))

GPU ?=
SRCS ?= $(sort getp_eval.cpp getp_run.cpp $(filter-out src/gpu/% $(OTHER_ISAS),$(wildcard src/*/*.cpp src/*/*/*.cpp)))
TESTS ?= $(sort $(wildcard tests/test_*.cpp))
LIB_SRCS := $(SRCS)
TOOLS := $(sort $(wildcard tools/*.cpp))
FUZZ := $(sort $(wildcard tests/fuzz/fuzz_*.cpp))

# Warnings are errors only with WERROR=1, as .ci/run has it: another compiler or library may warn of something new.
# clang lacks some of GCC's warnings, sees a deprecated function inside GCC's own std::stable_sort, and warns of
# `omp simd` at -O1, where it vectorises nothing.
CLANG_WARNINGS := $(if $(findstring clang,$(CXX)), -Wno-unknown-warning-option -Wno-deprecated-declarations \
    -Wno-pass-failed)
WARNINGS := -Wall -Wextra -Wshadow -Wold-style-cast -Wno-unknown-pragmas $(if $(WERROR),-Werror)$(CLANG_WARNINGS)
# The caller's CXXFLAGS come last: they add to these.
override CXXFLAGS := -std=c++17 -O2 $(WARNINGS) -fopenmp -ffp-contract=off -fno-math-errno -Iinclude -Isrc -Itests \
    $(if $(filter asan fuzz,$(MODE)),-g) $(CXXFLAGS)
LDLIBS := -lpcre2-8 -lfmt -ledit -levent_core -lpthread
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -DSANITIZED

ifeq ($(MODE),fast)
override CXXFLAGS += -march=native
else ifeq ($(MODE),asan)
override CXXFLAGS += -O1 $(SANITIZE)
else ifeq ($(MODE),fuzz)
# Readers and parsers only: no fuzz target computes, so clang needs no OpenMP of its own.
override CXXFLAGS += -O1 $(SANITIZE) -fsanitize=fuzzer-no-link -fno-openmp
LIB_SRCS := $(filter src/base/% src/model/% src/text/% src/requests/% src/serve/http_parser.cpp,$(SRCS))
else ifneq ($(MODE),default)
$(error MODE=$(MODE): expected default, fast, asan or fuzz)
endif

OBJ := $(BUILD)/obj
PROGRAM := $(BUILD)$(GPU:%=/%)/run
LIB := $(OBJ)/libgptoss.a
LIB_OBJS := $(LIB_SRCS:%.cpp=$(OBJ)/%.o) $(OBJ)/page.o
# What tests, and the tools that make models for them, share.
SUPPORT := $(OBJ)/libsupport.a
SUPPORT_SRCS ?= $(sort $(wildcard tests/support/*.cpp))
SUPPORT_OBJS := $(SUPPORT_SRCS:%.cpp=$(OBJ)/%.o)
TEST_OBJS := $(TESTS:%.cpp=$(OBJ)/%.o)
TOOL_EXES := $(TOOLS:tools/%.cpp=$(BUILD)/%)
FUZZ_EXES := $(FUZZ:tests/fuzz/%.cpp=$(BUILD)/%)
# The test that replays the corpora is linked with every fuzz target.
ifneq ($(filter tests/test_fuzz_corpus.cpp,$(TESTS)),)
TEST_OBJS += $(FUZZ:%.cpp=$(OBJ)/%.o)
endif

.PHONY: all run tests tools fuzz gpu-tests gpu-tools quick-tests objects peers check clean help FORCE
.DELETE_ON_ERROR:
all: run

help:
	@echo 'make [run]     ./run, the program'
	@echo 'make tests     BUILD/tests, BUILD/run and the tools'
	@echo 'make tools     BUILD/NAME for each tools/NAME.cpp'
	@echo 'make gpu-tests gpu-tools   with GPU=: BUILD/GPU/gpu_tests, BUILD/GPU/NAME for each tools/gpu/NAME.cpp'
	@echo 'make quick-tests   TIMEOUT=30 GPU_ARCH=: ./run.sh test --quick'
	@echo 'make objects   compile all host code, link nothing (CXX=clang++-19 CXXFLAGS=-fsyntax-only BUILD=build/clang)'
	@echo 'make fuzz      build/fuzz/NAME for each tests/fuzz/NAME.cpp'
	@echo 'make peers     what other tokenizers say about our test text, and the clients of serve (npm, node)'
	@echo 'make check     include rules, sizes, style; format, if clang-format is there'
	@echo 'make clean'
	@echo
	@echo 'MODE=default   optimised, for any CPU of this architecture; kernels are chosen at run time'
	@echo 'MODE=fast      as default, and all other code for exactly this CPU (-march=native)'
	@echo 'MODE=asan      AddressSanitizer and UndefinedBehaviorSanitizer'
	@echo 'MODE=fuzz      clang, both sanitizers and coverage for libFuzzer'
	@echo 'GPU=           for the CPU alone; else BUILD/GPU/run is the program, for one of'
	@echo '               sm_90 (nvcc), gfx90a (hipcc), gfx942 gfx1100 gfx1151 amd (clang++-19; amd: all four in one),'
	@echo '               emulate-cdna emulate-rdna3 emulate-sm80 (kernels run on the CPU, slowly: for tests)'
	@echo 'WERROR=1       warnings are errors'
	@echo 'BUILD=dir      where everything goes (default build, or build/MODE)'
	@echo 'SRCS= TESTS= GPU_SRCS= GPU_TESTS=   only these sources and tests, to work on one part'

run: $(PROGRAM)
	@ln -f $< $@ 2> /dev/null || cp -f $< $@

tests: $(BUILD)/tests $(BUILD)/run $(BUILD)/disk.so tools
tools: $(TOOL_EXES)
ifeq ($(MODE),fuzz)
fuzz: $(FUZZ_EXES)
else
fuzz:
	@$(MAKE) MODE=fuzz fuzz
endif

$(BUILD)/run: $(OBJ)/run.o $(LIB)
	$(CXX) $(CXXFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/tests: $(TEST_OBJS) $(SUPPORT) $(LIB) $(OBJ)/sources
	$(CXX) $(CXXFLAGS) -o $@ $(filter-out %/sources,$^) -lgtest -lgtest_main $(LDLIBS)

# Loaded before the C library by tests of the program; no sanitizer in it.
$(BUILD)/%.so: tests/preload/%.cpp
	$(CXX) -std=c++17 -O1 $(WARNINGS) -shared -fPIC -o $@ $<

$(TOOL_EXES): $(BUILD)/%: $(OBJ)/tools/%.o $(SUPPORT) $(LIB)
	$(CXX) $(CXXFLAGS) -o $@ $^ $(LDLIBS)

$(FUZZ_EXES): $(BUILD)/%: $(OBJ)/tests/fuzz/%.o $(SUPPORT) $(LIB)
	$(CXX) $(CXXFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

$(LIB): $(LIB_OBJS) $(OBJ)/sources
	@rm -f $@
	@ar rcs $@ $(LIB_OBJS)
$(SUPPORT): $(SUPPORT_OBJS)
	@rm -f $@
	@ar rcs $@ $^

# Flags of single files: one instruction set each; in the tests, each fuzz target under its own name.
ifeq ($(ARCH),x86_64)
$(OBJ)/src/cpu/%/avx2.o: FILE_FLAGS := -mavx2 -mfma -mf16c
$(OBJ)/src/cpu/%/avx512.o: FILE_FLAGS := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma
$(OBJ)/src/cpu/%/avx512bf16.o $(OBJ)/src/cpu/%/avx512_attention.o: FILE_FLAGS := -mavx512f -mavx512bw -mavx512vl \
    -mavx512dq -mavx512bf16 -mfma
$(OBJ)/src/cpu/%/avx512vnni.o: FILE_FLAGS := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mfma
$(OBJ)/src/cpu/packed/amx.o $(OBJ)/src/cpu/packed/amx_attention.o: FILE_FLAGS := -mavx512f -mavx512bw -mavx512vl \
    -mavx512dq -mavx512bf16 -mfma -mprfchw -mamx-tile -mamx-bf16
endif
# Tests spend their time in the library: optimising them takes longer than it saves, but for those that compute
# themselves: made-up devices, sums in double, random models.
TEST_FLAGS := $(if $(filter fuzz,$(MODE)),-O1,-O0)
$(OBJ)/tests/%.o: FILE_FLAGS := $(TEST_FLAGS)
COMPUTING := gpu/* support/random_* test_engine* test_scheduler* test_packed_* test_kernels* test_attention_*
$(patsubst %.cpp,$(OBJ)/%.o,$(wildcard $(COMPUTING:%=tests/%.cpp))): FILE_FLAGS := $(if $(filter asan,$(MODE)),-O0,-O1)
ifneq ($(MODE),fuzz)
$(OBJ)/tests/fuzz/%.o: FILE_FLAGS = $(TEST_FLAGS) -DLLVMFuzzerTestOneInput=$(*F)
endif

$(OBJ)/%.o: %.cpp $(OBJ)/flags
	@mkdir -p $(@D)
	@echo $<
	@$(CXX) $(CXXFLAGS) $(FILE_FLAGS) -MMD -MP -c -o $@ $<

# The server's web page, as C++.
$(OBJ)/page.cpp: $(wildcard src/serve/page/*)
	@mkdir -p $(@D)
	@src/serve/page/assemble.sh > $@
$(OBJ)/page.o: $(OBJ)/page.cpp $(OBJ)/flags
	@echo src/serve/page/
	@$(CXX) $(CXXFLAGS) -MMD -MP -c -o $@ $<

# Two files that change only with what they record: other flags rebuild everything, other sources link again.
$(OBJ)/flags: RECORD = $(CXX) $(CXXFLAGS)
$(OBJ)/sources: RECORD = $(LIB_SRCS) $(TEST_OBJS)
$(OBJ)/flags $(OBJ)/sources: FORCE
	@mkdir -p $(@D)
	@echo '$(RECORD)' | cmp -s - $@ || echo '$(RECORD)' > $@

# ---- GPU=: kernels by a compiler of their own; what calls them, and their tests, by the host's ----

ifneq ($(GPU),)
GPU_BUILD := $(BUILD)/$(GPU)
GPU_OBJ := $(GPU_BUILD)/obj
DEVICE := src/gpu/runtime.hip
ifneq ($(filter emulate-cdna emulate-rdna3 emulate-sm80,$(GPU)),)
DEVICE := $(sort $(wildcard tests/emu/*.cpp))
EMULATE := -DGPU_EMULATE -DGPU_$(subst -,_,$(shell echo $(GPU) | tr a-z A-Z))
GPU_CXX := $(CXX)
GPU_CXXFLAGS := -x c++ $(CXXFLAGS) $(EMULATE)
GPU_LDLIBS := -lboost_context
else ifneq ($(filter sm_%,$(GPU)),)
CUDA ?= $(patsubst %/bin/nvcc,%,$(firstword $(shell command -v nvcc) /usr/local/cuda/bin/nvcc))
SM := $(GPU:sm_%=%)$(if $(filter sm_90,$(GPU)),a)
GPU_CXX := $(CUDA)/bin/nvcc
GPU_CXXFLAGS := -x cu -std=c++17 -O3 --fmad=false --expt-relaxed-constexpr \
    -gencode=arch=compute_$(SM),code=sm_$(SM) -Iinclude -Isrc
GPU_LDLIBS := -L$(CUDA)/lib64 -Wl,-rpath,$(CUDA)/lib64 -lcudart
else
include tools/amd/flags.mk
endif

# A .hip is compiled for the device. A .cpp knows nothing of it: its one object serves every GPU=.
objects = $(patsubst %.hip,$(GPU_OBJ)/%.o,$(filter %.hip,$(1))) $(patsubst %.cpp,$(OBJ)/%.o,$(filter %.cpp,$(1)))
GPU_SRCS ?= $(sort $(wildcard src/kernels/*.hip src/gpu/*.cpp))
GPU_TESTS ?= $(sort $(wildcard tests/gpu/*.hip tests/gpu/*.cpp))
GPU_OBJS := $(call objects,$(GPU_SRCS)) $(patsubst %,$(GPU_OBJ)/%.o,$(basename $(DEVICE)))
GPU_TEST_OBJS := $(call objects,$(if $(EMULATE),$(GPU_TESTS),$(filter-out tests/gpu/test_emulator%,$(GPU_TESTS))))
GPU_TOOLS := $(sort $(wildcard tools/gpu/*.cpp))

gpu-tests: $(GPU_BUILD)/gpu_tests
gpu-tools: $(GPU_TOOLS:tools/gpu/%.cpp=$(GPU_BUILD)/%)

# Linked before the library, which has the same functions for a program without GPUs.
$(PROGRAM): $(OBJ)/run.o $(GPU_OBJS) $(LIB)
	$(CXX) $(CXXFLAGS) -o $@ $^ $(GPU_LDLIBS) $(LDLIBS)
$(GPU_BUILD)/gpu_tests: $(GPU_TEST_OBJS) $(GPU_OBJS) $(SUPPORT) $(LIB) $(GPU_OBJ)/sources
	$(CXX) $(CXXFLAGS) -o $@ $(filter-out %/sources,$^) -lgtest -lgtest_main $(GPU_LDLIBS) $(LDLIBS)
$(GPU_TOOLS:tools/gpu/%.cpp=$(GPU_BUILD)/%): $(GPU_BUILD)/%: $(OBJ)/tools/gpu/%.o $(GPU_OBJS) $(LIB)
	$(CXX) $(CXXFLAGS) -o $@ $^ $(GPU_LDLIBS) $(LDLIBS)

$(GPU_OBJ)/src/gpu/runtime.o: FILE_FLAGS := -DGPU_TARGETS='"$(if $(filter amd,$(GPU)),$(AMD_TARGETS),$(GPU))"'
$(GPU_OBJ)/%.o: %.hip $(GPU_NEEDS) $(GPU_OBJ)/flags
	@mkdir -p $(@D)
	@echo $<
	@$(GPU_CXX) $(GPU_CXXFLAGS) $(FILE_FLAGS) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<
$(GPU_OBJ)/tests/emu/%.o: tests/emu/%.cpp $(GPU_OBJ)/flags
	@mkdir -p $(@D)
	@echo $<
	@$(CXX) $(CXXFLAGS) $(EMULATE) -MMD -MP -c -o $@ $<
$(GPU_OBJ)/flags: RECORD = $(CXX) $(CXXFLAGS) $(GPU_CXX) $(GPU_CXXFLAGS)
$(GPU_OBJ)/sources: RECORD = $(GPU_OBJS) $(GPU_TEST_OBJS)
$(GPU_OBJ)/flags $(GPU_OBJ)/sources: FORCE
	@mkdir -p $(@D)
	@echo '$(RECORD)' | cmp -s - $@ || echo '$(RECORD)' > $@

-include $(GPU_OBJS:.o=.d) $(GPU_TEST_OBJS:.o=.d) $(GPU_TOOLS:%.cpp=$(OBJ)/%.d)
else
gpu-tests gpu-tools:
	@echo 'expected GPU=: a device or one of the emulations; make help lists them'
	@exit 2
endif

TIMEOUT ?= 30
export GPU_ARCH
quick-tests:
	@MAKEFLAGS= ./run.sh test --quick -t $(TIMEOUT)

# Links nothing. With CXXFLAGS=-fsyntax-only and a BUILD of its own: another compiler's warnings in a minute.
objects: $(LIB_OBJS) $(OBJ)/run.o $(patsubst %.cpp,$(OBJ)/%.o,$(wildcard src/gpu/*.cpp)) \
    $(TEST_OBJS) $(SUPPORT_OBJS) $(TOOLS:%.cpp=$(OBJ)/%.o)

peers: tests/peers/out/cases.bin tests/peers/out/clients/openai.js
tests/peers/out/cases.bin: tests/peers/node_modules/.package-lock.json $(wildcard tests/peers/*.mjs)
	node tests/peers/tokenize.mjs $(@D)
tests/peers/out/clients/openai.js: tests/peers/node_modules/.package-lock.json $(wildcard tests/peers/clients/*.ts)
	cd tests/peers && node_modules/.bin/tsc -p .
	@touch $@
tests/%/node_modules/.package-lock.json: tests/%/package-lock.json
	cd tests/$* && npm ci --no-audit --no-fund
	@touch $@

check:
	python3 tools/check_includes.py
	python3 tools/check_style.py
	@if command -v clang-format > /dev/null; then \
		echo clang-format --dry-run; \
		find *.cpp include src tests tools -name node_modules -prune -o -name '*.[ch]*' -print \
			| grep -E '\.(cpp|h|hip)$$' | xargs clang-format --dry-run -Werror; \
	fi

clean:
	rm -rf $(BUILD) run

-include $(LIB_OBJS:.o=.d) $(SUPPORT_OBJS:.o=.d) $(TEST_OBJS:.o=.d) $(OBJ)/run.d \
    $(TOOLS:%.cpp=$(OBJ)/%.d) $(FUZZ:%.cpp=$(OBJ)/%.d)
