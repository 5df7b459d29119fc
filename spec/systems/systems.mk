# Other systems (included by the Makefile), outside of `make test`: what docs/systems.md says.
#
#   make systems                         all of them: arm64 and s390x under qemu
#   make systems SYSTEMS=s390x           one of them
#   make systems T="json resume_cli"     some C tests and specs in place of those of the lists
#
# Each is this makefile run again with a cross compiler and with libraries from Debian's packages
# of that architecture, which spec/systems/fetch.sh unpacks into $(BUILD)/systems/NAME/root.

SYSTEMS := arm64 s390x
TRIPLET_arm64 := aarch64-linux-gnu
TRIPLET_s390x := s390x-linux-gnu
QEMU_arm64 := qemu-aarch64-static
QEMU_s390x := qemu-s390x-static

SYSTEM_PACKAGES := libc6 liblua5.4-dev libuv1-dev lua-luv-dev lua-lpeg-dev libsqlite3-dev libmd-dev \
  zlib1g-dev libcmocka-dev libcurl4-openssl-dev libmicrohttpd-dev libarchive-dev libexpat1-dev \
  libpq-dev libhiredis-dev libutf8proc-dev lua5.4 lua-filesystem lua-system lua-term

SYSTEM_DIR := $(BUILD)/systems
SYSTEM_ROOTS := $(SYSTEMS:%=$(SYSTEM_DIR)/%/root.ok)
$(SYSTEM_ROOTS): $(SYSTEM_DIR)/%/root.ok: spec/systems/fetch.sh spec/systems/systems.mk \
  | $(BUILD)/have-systems
	$(call say,FETCH)
	$(Q)spec/systems/fetch.sh $* $(@D) $(SYSTEM_PACKAGES)
	@touch $@

# What vendor/find.mk asks pkg-config for, answered for another architecture: (root, triplet, qemu).
# The modules inside the command are compiled by its own Lua, as their form has its byte order.
system_vendor = LUA='$(3) -L $(1) $(1)/usr/bin/lua5.4' CC=$(2)-gcc AR=$(2)-ar PACKED_RELOCATIONS= \
  VENDOR_CFLAGS='-I$(1)/usr/include -I$(1)/usr/include/$(2) \
  $(patsubst %,-I$(1)/usr/include/%,lua5.4 postgresql)' \
  SYSTEM_LIBS='-L$(1)/usr/lib/$(2) -lm -ldl -lpthread' \
  $(foreach part,LUA=lua5.4 LUV=lua5.4-luv LPEG=lua5.4-lpeg UV=uv_a SQLITE=sqlite3 MD=md Z=z,$(word \
    1,$(subst =, ,$(part)))_A=$(1)/usr/lib/$(2)/lib$(word 2,$(subst =, ,$(part))).a)

.PHONY: systems $(SYSTEMS:%=system-%)
systems: $(SYSTEMS:%=system-%) ## build and test for arm64 and s390x, under qemu (SYSTEMS=s390x)

$(SYSTEMS:%=system-%): system-%: $(SYSTEM_DIR)/%/root.ok $(BUILD)/orrery | $(BUILD)/have-test
	$(Q)$(MAKE) BUILD=$(SYSTEM_DIR)/$* $(call system_vendor,$(SYSTEM_DIR)/$*/root,$(TRIPLET_$*),$(QEMU_$*)) \
	  $(SYSTEM_DIR)/$*/orrery system-tests
	@spec/systems/run.sh $(SYSTEM_DIR)/$* $(QEMU_$*) $(BUILD)/orrery $(T)

.PHONY: system-tests
system-tests: $(TEST_BIN)
