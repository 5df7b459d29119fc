# What programs of others are built with (included by the Makefile): the libraries that bring their
# own Lua, all of it as one file, pkg-config, CMake; and what a linked program counts on.

PACKAGE := runtime/package

# ---- libraries with Lua inside -------------------------------------------------------------------

# For hosts that have no Lua, or another one: Lua, luv and LPeg are inside and hidden. libuv is not,
# as a host may have a loop of its own; and Debian's archive of it can be part of no shared object.
# A sanitizer's library cannot be part of them.
FULL_LIBS := $(if $(SANITIZE),,$(BUILD)/liborrery-full.so $(BUILD)/liborrery-full.a)
FULL_SONAME := $(SONAME:liborrery%=liborrery-full%)
lib: $(FULL_LIBS)

# What the archives for programs reach directly, and a shared object cannot: see streams.c.
FULL_RENAMED := $(foreach name,stdin stdout stderr,--redefine-sym $(name)=orr_full_$(name))
FULL_SRC := $(PACKAGE)/streams.c
FULL_OBJ := $(call object,$(FULL_SRC))
FULL_A   := $(BUILD)/obj/full-luv.a $(BUILD)/obj/full-lua.a
$(BUILD)/obj/full-luv.a: $(LUV_A)
$(BUILD)/obj/full-lua.a: $(LUA_A)
$(FULL_A):
	@mkdir -p $(@D)
	$(Q)objcopy $(FULL_RENAMED) $< $@

$(BUILD)/liborrery-full.so: $(LIB_OBJ) $(FULL_OBJ) $(EXPORTED) $(FULL_A)
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,$(FULL_SONAME) -Wl,--gc-sections -Wl,-z,defs \
	  -Wl,--version-script=$(EXPORTED) -o $@ $(LIB_OBJ) $(FULL_OBJ) $(LPEG_A) $(FULL_A) \
	  $(UV_SO) -lsqlite3 -lmd -lz $(SYSTEM_LIBS)

# One object, in which only what the header declares can be seen.
$(BUILD)/liborrery-full.a: $(LIB_OBJ)
	$(call say,AR)
	$(Q)ld -r -o $@.o $(LIB_OBJ) --whole-archive $(LUA_A) --no-whole-archive $(LUV_A) $(LPEG_A)
	$(Q)objcopy --wildcard --keep-global-symbol='orr_*' $@.o
	@rm -f $@
	$(Q)$(AR) rcsD $@ $@.o
	@rm -f $@.o

# ---- one file ------------------------------------------------------------------------------------

.PHONY: amalgamation
AMALGAMATION := $(BUILD)/amalgamation
amalgamation: $(AMALGAMATION)/orrery.c $(AMALGAMATION)/orrery.h ## all C of the library as one file
$(AMALGAMATION)/orrery.c: $(PACKAGE)/amalgamate.lua $(LIB_SRC) $(BUILD)/gen/embedded.c \
  $(wildcard runtime/*/*.h runtime/*/*/*.h)
	@mkdir -p $(@D)
	$(call say,JOIN)
	$(Q)$(LUA) $< $(ORR_VERSION) runtime runtime/include $(LIB_SRC) $(BUILD)/gen/embedded.c >$@
$(AMALGAMATION)/orrery.h: runtime/include/orrery.h
	@mkdir -p $(@D)
	$(Q)cp $< $@

# ---- what a linked program counts on -------------------------------------------------------------

# This version beside the one that spec/abi keeps. It takes all of the debug information.
.PHONY: abi
ABI_LIB  := $(BUILD)/abi/liborrery.so
ABI_KEPT := spec/abi/liborrery.abi
ABI_DUMP := abidw --no-corpus-path --no-show-locs $(ABI_LIB)
abi: | $(BUILD)/have-abi ## compare the ABI with that of the last version (ABI=renew: keep this one)
	$(Q)$(MAKE) BUILD=$(BUILD)/abi CFLAGS='-O0 -g' $(ABI_LIB)
	$(Q)$(ABI_DUMP) | $(LUA) spec/abi/list.lua $(if $(filter renew,$(ABI)),>)$(ABI_KEPT)

# ---- installing them -----------------------------------------------------------------------------

# A template with what differs by machine: filled = (template, file, more of sed).
ORR_VERSION = $(shell sed -n 's/^\#define ORR_VERSION "\(.*\)"/\1/p' runtime/include/orrery.h)
filled = $(Q)sed -e 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(ORR_VERSION)|; s|@SONAME@|$(SONAME)|' \
  -e 's|@FULL_SONAME@|$(FULL_SONAME)|; s|@LUV_A@|$(LUV_A)|; s|@UV_A@|$(UV_A)|' $(3) \
  $(PACKAGE)/$(1) >$(DESTDIR)$(PREFIX)/lib/$(2)
pkg_config = $(call filled,orrery.pc.in,pkgconfig/$(1).pc,-e 's|@NAME@|$(1)|; s|@WORDS@|$(2)|' \
  -e 's|@REQUIRES@|$(3)|; s|@ARCHIVES@|$(4)|')

.PHONY: install-library
install-library: lib
	$(Q)install -d $(foreach folder,include lib/pkgconfig lib/cmake/Orrery,$(DESTDIR)$(PREFIX)/$(folder))
	$(Q)install -m 644 runtime/include/orrery.h runtime/include/orrery.hpp $(DESTDIR)$(PREFIX)/include
	$(Q)for name in liborrery $(if $(SANITIZE),,liborrery-full); do \
	  install -m 644 $(BUILD)/$$name.a $(DESTDIR)$(PREFIX)/lib && \
	  install -m 755 $(BUILD)/$$name.so $(DESTDIR)$(PREFIX)/lib/$$name$(SONAME:liborrery%=%) && \
	  ln -sf $$name$(SONAME:liborrery%=%) $(DESTDIR)$(PREFIX)/lib/$$name.so || exit 1; done
	$(call pkg_config,orrery,Workflow engine: DAGs of Lua and C handlers on one event loop,\
	  lua5.4 lua5.4-lpeg sqlite3 libmd zlib,$(LUV_A) $(UV_A))
	$(call pkg_config,orrery-full,Workflow engine with a Lua of its own inside,sqlite3 libmd zlib,$(UV_A))
	$(call filled,OrreryConfig.cmake.in,cmake/Orrery/OrreryConfig.cmake)
	$(call filled,OrreryConfigVersion.cmake.in,cmake/Orrery/OrreryConfigVersion.cmake)
	$(call installed,C library,$(PREFIX)/lib/$(SONAME))
	$(call installed,with Lua in,$(PREFIX)/lib/$(FULL_SONAME))

include $(PACKAGE)/deb.mk
