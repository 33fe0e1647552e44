# flags.mk: compiler and flags for kernels (.hip) on AMD devices. Set GPU before: a target, or amd: all in one program.
# Kernels: $(GPU_CXX) $(GPU_CXXFLAGS) -c, after $(GPU_NEEDS); the host's compiler links, with $(GPU_LDLIBS).
#
# gfx90a is compiled by Debian's hipcc 5.2 (clang 15), which knows nothing newer; all else by Debian's clang-19 with the
# same headers of HIP 5.2, so that any program starts under Debian's HIP runtime. It loads code objects of version 4.

AMD_TOOLS := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
AMD_TARGETS := gfx90a gfx942 gfx1100 gfx1151
AMD_DEVICE_LIBS ?= build/amd/device_libs

GPU_LDLIBS := -lamdhip64
# No contraction: fmaf is written where it is meant, so that a function gives the same bits in every kernel.
GPU_CXXFLAGS := -O3 -std=c++17 -ffp-contract=off -mcode-object-version=4 -Iinclude -Isrc
# Obeys #pragma unroll whatever the size: arrays that such a loop indexes have to be in registers.
GPU_CXXFLAGS += -mllvm -pragma-unroll-threshold=65536
# For check.sh: objects that nothing links.
GPU_CXXFLAGS += $(if $(DEVICE_ONLY),--cuda-device-only)
# -MMD writes what the pass for the host includes; what the device's pass includes is named here.
GPU_NEEDS := $(wildcard include/gpu/*.h)

ifeq ($(GPU),gfx90a)
GPU_CXX := hipcc
GPU_CXXFLAGS += --offload-arch=gfx90a
else ifneq ($(filter $(GPU),$(AMD_TARGETS) amd),)
GPU_CXX := clang++-19
GPU_CXXFLAGS += -x hip $(addprefix --offload-arch=,$(if $(filter amd,$(GPU)),$(AMD_TARGETS),$(GPU)))
GPU_CXXFLAGS += --rocm-path=/usr --rocm-device-lib-path=$(AMD_DEVICE_LIBS)
# All is inlined, as hipcc does: a call would cost a kernel the registers of any function.
GPU_CXXFLAGS += -mllvm -amdgpu-early-inline-all=true -mllvm -amdgpu-function-calls=false
GPU_NEEDS += $(AMD_DEVICE_LIBS)
else
$(error GPU=$(GPU): expected one of $(AMD_TARGETS) amd, or another that make help lists)
endif

$(AMD_DEVICE_LIBS): $(AMD_TOOLS)/device_libs.sh
	$< $@
	@touch $@
