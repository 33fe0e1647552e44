# check.mk: all kernels for all AMD targets, into build/amd/TARGET. `print` names the objects that there are.

AMD_TARGETS := gfx90a gfx942 gfx1100 gfx1151
KERNELS := $(sort $(wildcard src/kernels/*.hip))
OBJECTS := $(foreach target,$(AMD_TARGETS),$(KERNELS:src/kernels/%.hip=build/amd/$(target)/%.o))
HEADERS := $(wildcard include/*.h include/gpu/*.h src/kernels/*.h tools/amd/*)

.PHONY: all print
.DELETE_ON_ERROR:
all: $(OBJECTS)
print:
	@printf '%s\n' $(wildcard $(OBJECTS))

# The target is one stem too many for a pattern rule.
define of_target
build/amd/$1/%.o: src/kernels/%.hip $(HEADERS)
	@echo $1 $$<
	@tools/amd/compile.sh $1 $$< $$@
endef
$(foreach target,$(AMD_TARGETS),$(eval $(call of_target,$(target))))
