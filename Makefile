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

SRCS ?= $(sort getp_eval.cpp getp_run.cpp $(wildcard src/*/*.cpp))
TESTS ?= $(sort $(wildcard tests/test_*.cpp))
LIB_SRCS := $(SRCS)
TOOLS := $(sort $(wildcard tools/*.cpp))
FUZZ := $(sort $(wildcard tests/fuzz/fuzz_*.cpp))

WARNINGS := -Wall -Wextra -Wshadow -Wold-style-cast -Wno-unknown-pragmas -Werror
CXXFLAGS := -std=c++17 -O2 -g $(WARNINGS) -fopenmp -ffp-contract=off -fno-math-errno -Iinclude -Isrc -Itests
LDLIBS := -lpcre2-8 -lfmt -ledit -lpthread
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

ifeq ($(MODE),fast)
CXXFLAGS += -march=native
else ifeq ($(MODE),asan)
CXXFLAGS += -O1 $(SANITIZE)
else ifeq ($(MODE),fuzz)
# Readers and parsers only: no target reaches the arithmetic, so clang needs no OpenMP of its own.
CXXFLAGS += -O1 $(SANITIZE) -fsanitize=fuzzer-no-link -fno-openmp
LIB_SRCS := $(filter src/base/% src/model/% src/text/% src/requests/%,$(SRCS))
else ifneq ($(MODE),default)
$(error MODE=$(MODE): expected default, fast, asan or fuzz)
endif

OBJ := $(BUILD)/obj
LIB := $(OBJ)/libgptoss.a
LIB_OBJS := $(LIB_SRCS:%.cpp=$(OBJ)/%.o)
TEST_OBJS := $(TESTS:%.cpp=$(OBJ)/%.o)
TOOL_EXES := $(TOOLS:tools/%.cpp=$(BUILD)/%)
FUZZ_EXES := $(FUZZ:tests/fuzz/%.cpp=$(BUILD)/%)
# The test that replays the corpora is linked with every fuzz target.
ifneq ($(filter tests/test_fuzz_corpus.cpp,$(TESTS)),)
TEST_OBJS += $(FUZZ:%.cpp=$(OBJ)/%.o)
endif

.PHONY: all run tests tools fuzz peers check clean help FORCE
.DELETE_ON_ERROR:
all: run

help:
	@echo 'make [run]     ./run, the program'
	@echo 'make tests     BUILD/tests, BUILD/run and the tools'
	@echo 'make tools     BUILD/NAME for each tools/NAME.cpp'
	@echo 'make fuzz      build/fuzz/NAME for each tests/fuzz/NAME.cpp'
	@echo 'make peers     what other tokenizers say about our test text (npm, node)'
	@echo 'make check     include rules, file sizes; format, if clang-format is there'
	@echo 'make clean'
	@echo
	@echo 'MODE=default   optimised, for any CPU of this architecture; kernels are chosen at run time'
	@echo 'MODE=fast      as default, and all other code for exactly this CPU (-march=native)'
	@echo 'MODE=asan      AddressSanitizer and UndefinedBehaviorSanitizer'
	@echo 'MODE=fuzz      clang, both sanitizers and coverage for libFuzzer'
	@echo 'BUILD=dir      where everything goes (default build, or build/MODE)'
	@echo 'SRCS= TESTS=   only these sources and tests, to work on one part'

run: $(BUILD)/run
	@ln -f $< $@ 2> /dev/null || cp -f $< $@

tests: $(BUILD)/tests $(BUILD)/run tools
tools: $(TOOL_EXES)
ifeq ($(MODE),fuzz)
fuzz: $(FUZZ_EXES)
else
fuzz:
	@$(MAKE) MODE=fuzz fuzz
endif

$(BUILD)/run: $(OBJ)/run.o $(LIB)
	$(CXX) $(CXXFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/tests: $(TEST_OBJS) $(LIB) $(OBJ)/sources
	$(CXX) $(CXXFLAGS) -o $@ $(filter-out %/sources,$^) -lgtest -lgtest_main $(LDLIBS)

$(TOOL_EXES): $(BUILD)/%: $(OBJ)/tools/%.o $(LIB)
	$(CXX) $(CXXFLAGS) -o $@ $^ $(LDLIBS)

$(FUZZ_EXES): $(BUILD)/%: $(OBJ)/tests/fuzz/%.o $(LIB)
	$(CXX) $(CXXFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

$(LIB): $(LIB_OBJS) $(OBJ)/sources
	@rm -f $@
	@ar rcs $@ $(LIB_OBJS)

# Flags of single files: one instruction set each (src/cpu/isa.h); in the tests, each fuzz target under its own name.
ifeq ($(shell uname -m),x86_64)
$(OBJ)/src/cpu/%_avx2.o: FILE_FLAGS := -mavx2 -mfma -mf16c
$(OBJ)/src/cpu/%_avx512.o: FILE_FLAGS := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma
endif
ifneq ($(MODE),fuzz)
$(OBJ)/tests/fuzz/%.o: FILE_FLAGS = -DLLVMFuzzerTestOneInput=$(*F)
endif

$(OBJ)/%.o: %.cpp $(OBJ)/flags
	@mkdir -p $(@D)
	@echo $<
	@$(CXX) $(CXXFLAGS) $(FILE_FLAGS) -MMD -MP -c -o $@ $<

# Two files that change only when what they record does: other flags rebuild everything, other sources link again.
$(OBJ)/flags: RECORD = $(CXX) $(CXXFLAGS)
$(OBJ)/sources: RECORD = $(LIB_SRCS) $(TEST_OBJS)
$(OBJ)/flags $(OBJ)/sources: FORCE
	@mkdir -p $(@D)
	@echo '$(RECORD)' | cmp -s - $@ || echo '$(RECORD)' > $@

peers: tests/peers/out/cases.bin
tests/peers/out/cases.bin: tests/peers/node_modules/.package-lock.json $(wildcard tests/peers/*.mjs)
	node tests/peers/tokenize.mjs $(@D)
tests/peers/node_modules/.package-lock.json: tests/peers/package-lock.json
	cd tests/peers && npm ci --no-audit --no-fund
	@touch $@

check:
	python3 tools/check_includes.py
	@if command -v clang-format > /dev/null; then \
		echo clang-format --dry-run; \
		find *.cpp include src tests tools -name node_modules -prune -o -name '*.cpp' -print -o -name '*.h' -print \
			| xargs clang-format --dry-run -Werror; \
	fi

clean:
	rm -rf $(BUILD) run

-include $(LIB_OBJS:.o=.d) $(TEST_OBJS:.o=.d) $(OBJ)/run.d $(TOOLS:%.cpp=$(OBJ)/%.d) $(FUZZ:%.cpp=$(OBJ)/%.d)
