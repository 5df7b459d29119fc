# Orrery's build. `make help` lists the targets; everything made goes to $(BUILD).
#
# What is missing on the machine is installed from Debian's packages by vendor/install.sh, part by part, the first
# time a target needs it (see vendor/find.mk). Build variants (sanitizers, lint) are this makefile run again with
# another BUILD and other flags, so there is one list of sources and one set of rules.

BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
MAKEFLAGS += --no-builtin-rules
# As many jobs as processors, unless this is a make inside a make or something is to be removed first.
ifeq ($(MAKELEVEL)$(filter clean,$(MAKECMDGOALS)),0)
MAKEFLAGS += --jobs=$(shell nproc)
endif
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

SONAME  := liborrery.so.0
EXAMPLE ?= examples/tour.lua

include vendor/find.mk

# ---- flags ----------------------------------------------------------------------------------------------

ifeq ($(origin CC),default)
CC := gcc
endif
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion
OPTIMIZE ?= -O2
CFLAGS   ?= $(OPTIMIZE) -g1
# Everything is position independent and hidden: one set of objects serves the command, the archive and the
# shared objects, and between hidden functions position independence costs nothing.
override CFLAGS += -std=gnu11 $(WARNINGS) $(if $(WERROR),-Werror) -fPIC -fvisibility=hidden -ffunction-sections \
  -fdata-sections $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer)
override CPPFLAGS += -D_GNU_SOURCE -Iruntime/include $(VENDOR_CFLAGS)
override LDFLAGS += $(if $(SANITIZE),-fsanitize=$(SANITIZE))
SYSTEM_LIBS := -lm -ldl -lpthread
ifdef SANITIZE
export ORRERY_SANITIZED := $(SANITIZE)
endif

# ---- sources --------------------------------------------------------------------------------------------

LAYERS   := core loop store script
LIB_SRC  := $(foreach layer,$(LAYERS),$(sort $(wildcard runtime/$(layer)/*.c)))
HOST_SRC := $(sort $(wildcard runtime/host/*.c))
LUA_NOTES := $(sort $(wildcard lua/orrery/library/*.lua))
LUA_SRC  := $(filter-out $(LUA_NOTES),$(sort $(wildcard lua/orrery/*.lua lua/orrery/*/*.lua stdlib/*.lua)))
TEST_SRC := $(sort $(wildcard spec/c/test_*.c))
TEST_AID := $(filter-out $(TEST_SRC),$(sort $(wildcard spec/c/*.c)))
EMBED_SRC := $(sort $(wildcard examples/embed/*.c))

object   = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB_OBJ  := $(call object,$(LIB_SRC)) $(BUILD)/obj/embedded.o
HOST_OBJ := $(call object,$(HOST_SRC))
TEST_BIN := $(patsubst spec/c/%.c,$(BUILD)/spec/%,$(TEST_SRC))
EMBED_BIN := $(patsubst %.c,$(BUILD)/%,$(EMBED_SRC))

# A test that includes nothing above the core is linked with the core alone: what links shows that the core
# knows nobody, and a fault in another layer does not stop the work on this one.
WIDE_TEST_SRC := $(if $(TEST_SRC),$(shell grep -lE '(loop|store|script|host)/|place\.h|orrery\.h|lua\.h|uv\.h' $(TEST_SRC)))
WIDE_TEST_BIN := $(patsubst spec/c/%.c,$(BUILD)/spec/%,$(WIDE_TEST_SRC))
CORE_TEST_BIN := $(filter-out $(WIDE_TEST_BIN),$(TEST_BIN))

# ---- what is built --------------------------------------------------------------------------------------

# Recipes print one short line; V=1 prints the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' '$(1)' '$@')

.PHONY: all lib
all: $(BUILD)/orrery lib ## build the command and the libraries
lib: $(BUILD)/liborrery.a $(BUILD)/liborrery.so $(BUILD)/lib/orrery/core.so

$(BUILD)/obj/%.o: %.c | $(VENDOR_MK)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/embedded.o: $(BUILD)/gen/embedded.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) -Iruntime/script $(CFLAGS) -MMD -MP -c -o $@ $<

# Our Lua, argparse and LPeg's `re` as a C array.
$(BUILD)/gen/embedded.c: runtime/host/embed.lua $(LUA_SRC) $(wildcard lua/orrery lua/orrery/* stdlib) | $(VENDOR_MK)
	@mkdir -p $(@D)
	$(call say,EMBED)
	$(Q)$(LUA) runtime/host/embed.lua $(if $(SANITIZE),--lines) $(LUA_SRC) argparse=$(LUA_SHARE)/argparse.lua re=$(LUA_SHARE)/re.lua >$@

$(BUILD)/libcore.a: $(filter $(BUILD)/obj/runtime/core/%,$(LIB_OBJ))
$(BUILD)/liborrery.a: $(LIB_OBJ)
$(BUILD)/spec/libaid.a: $(call object,$(TEST_AID))
$(BUILD)/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR)
	$(Q)ar rcs $@ $^

# The archives of Lua, luv, LPeg, libuv, SQLite and libmd go in statically; Lua's is taken whole and exported, so that
# C modules of the system find every function of Lua in the command itself and no second Lua comes along.
STATIC_LIBS = $(LUV_A) $(LPEG_A) -Wl,--whole-archive $(LUA_A) -Wl,--no-whole-archive $(UV_A) $(SQLITE_A) $(MD_A) \
  $(SYSTEM_LIBS)

$(BUILD)/orrery: $(HOST_OBJ) $(BUILD)/liborrery.a
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) $(if $(SANITIZE),,-no-pie -s) -Wl,-E -Wl,--gc-sections -Wl,-O1 -Wl,--hash-style=gnu -o $@ $^ $(STATIC_LIBS)

$(BUILD)/liborrery.so: $(LIB_OBJ)
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,$(SONAME) -Wl,--gc-sections -o $@ $^ $(LUV_SO) $(UV_SO) -lsqlite3 -lmd $(SYSTEM_LIBS)

$(BUILD)/lib/orrery/core.so: $(LIB_OBJ)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,--gc-sections -o $@ $^ $(LUV_SO) $(UV_SO) -lsqlite3 -lmd $(SYSTEM_LIBS)

$(CORE_TEST_BIN): $(BUILD)/spec/%: $(BUILD)/obj/spec/c/%.o $(BUILD)/spec/libaid.a $(BUILD)/libcore.a | $(BUILD)/have-test
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(SYSTEM_LIBS)

$(WIDE_TEST_BIN): $(BUILD)/spec/%: $(BUILD)/obj/spec/c/%.o $(BUILD)/spec/libaid.a $(BUILD)/liborrery.a | $(BUILD)/have-test
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -Wl,-E -o $@ $^ $(STATIC_LIBS) -lcmocka

$(EMBED_BIN): $(BUILD)/%: $(BUILD)/obj/%.o $(BUILD)/liborrery.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -Wl,-E -o $@ $^ $(STATIC_LIBS)

$(call object,$(TEST_SRC) $(TEST_AID)): | $(BUILD)/have-test

DEPS := $(patsubst %.o,%.d,$(LIB_OBJ) $(HOST_OBJ) $(call object,$(TEST_SRC) $(TEST_AID) $(EMBED_SRC)))
-include $(DEPS)
.SECONDARY:

# ---- using it -------------------------------------------------------------------------------------------

.PHONY: run test test-c test-spec
run: $(BUILD)/orrery ## run a workflow with live progress (EXAMPLE=file for another)
	$(BUILD)/orrery run $(EXAMPLE)

test: test-build ## run every test
	@spec/support/test.sh $(BUILD)

# C tests and specs alone, for working on one side.
test-c: $(TEST_BIN)
	@spec/support/test.sh $(BUILD) c
test-spec: $(BUILD)/orrery $(EMBED_BIN) | $(BUILD)/have-test
	@spec/support/test.sh $(BUILD) lua

# CRASH_KILLS, CRASH_SEED and CRASH_ONLY (boundaries, random, pair) as spec/crash/main.lua says.
.PHONY: crash
crash: $(BUILD)/orrery ## kill processes that keep runs a thousand times and check what is left (CRASH_KILLS=, CRASH_SEED=)
	$(BUILD)/orrery spec/crash/main.lua

.PHONY: test-build
test-build: all $(TEST_BIN) $(EMBED_BIN) | $(BUILD)/have-test

# ---- installing -----------------------------------------------------------------------------------------

LUADIR ?= $(PREFIX)/share/lua/5.4
LIBDIR ?= $(PREFIX)/lib/lua/5.4

.PHONY: install install-module rock
install: all install-module ## install to DESTDIR and PREFIX (/usr/local)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 755 $(BUILD)/orrery $(DESTDIR)$(PREFIX)/bin/orrery
	install -m 644 runtime/include/orrery.h $(DESTDIR)$(PREFIX)/include/orrery.h
	install -m 644 $(BUILD)/liborrery.a $(DESTDIR)$(PREFIX)/lib/liborrery.a
	install -m 755 $(BUILD)/liborrery.so $(DESTDIR)$(PREFIX)/lib/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(PREFIX)/lib/liborrery.so
	version=$$(sed -n 's/^#define ORR_VERSION "\(.*\)"/\1/p' runtime/include/orrery.h); \
	sed -e 's|@PREFIX@|$(PREFIX)|' -e "s|@VERSION@|$$version|" orrery.pc.in >$(DESTDIR)$(PREFIX)/lib/pkgconfig/orrery.pc

# What `require "orrery"` needs in a plain Lua 5.4; the rock installs exactly this.
install-module: $(BUILD)/lib/orrery/core.so
	for file in $(patsubst lua/orrery/%,%,$(filter lua/%,$(LUA_SRC)) $(LUA_NOTES)); do \
	  install -D -m 644 lua/orrery/$$file $(DESTDIR)$(LUADIR)/orrery/$$file || exit 1; done
	for file in $(patsubst stdlib/%,%,$(filter stdlib/%,$(LUA_SRC))); do \
	  install -D -m 644 stdlib/$$file $(DESTDIR)$(LUADIR)/orrery/stdlib/$$file || exit 1; done
	install -D -m 755 $(BUILD)/lib/orrery/core.so $(DESTDIR)$(LIBDIR)/orrery/core.so

ROCKS := $(abspath $(BUILD))/rocks
rock: lib | $(BUILD)/have-rock ## build the rock, install it into build/rocks and run a workflow with it
	env -u MAKEFLAGS -u MAKELEVEL luarocks --lua-version 5.4 --tree $(ROCKS) make --no-doc --deps-mode none orrery-scm-1.rockspec
	LUA_PATH='$(ROCKS)/share/lua/5.4/?.lua;$(ROCKS)/share/lua/5.4/?/init.lua;;' \
	LUA_CPATH='$(ROCKS)/lib/lua/5.4/?.so;;' $(LUA) spec/support/rock.lua

# ---- checking -------------------------------------------------------------------------------------------

.PHONY: lint lint-gcc lint-clang lint-tidy lint-lua objects sanitize sanitize-address sanitize-thread
C_SRC := $(LIB_SRC) $(HOST_SRC) $(TEST_SRC) $(TEST_AID) $(EMBED_SRC) $(sort $(wildcard bench/*.c))
objects: $(call object,$(C_SRC)) $(BUILD)/obj/embedded.o

lint: lint-gcc lint-clang lint-tidy lint-lua ## every warning of two compilers, clang-tidy and luacheck
lint-gcc lint-clang: lint-%: | $(BUILD)/have-test $(BUILD)/have-lint
	$(MAKE) BUILD=$(BUILD)/lint-$* CC=$* WERROR=1 objects

TIDY_STAMPS := $(patsubst %.c,$(BUILD)/tidy/%.ok,$(C_SRC))
lint-tidy: $(TIDY_STAMPS)
$(BUILD)/tidy/%.ok: %.c .clang-tidy $(wildcard runtime/*/*.h) | $(BUILD)/have-test $(BUILD)/have-lint
	@mkdir -p $(@D)
	$(call say,TIDY)
	$(Q)clang-tidy --quiet --warnings-as-errors='*' $< -- $(CPPFLAGS) -std=gnu11 -fvisibility=hidden 2>/dev/null
	@touch $@

lint-lua: | $(BUILD)/have-lint
	luacheck --quiet lua stdlib spec examples bench runtime/host/embed.lua

# One after the other: some tests measure time.
sanitize: ## C tests and specs under address, undefined, leak and thread sanitizers
	@$(MAKE) sanitize-address; address=$$?; $(MAKE) sanitize-thread && exit $$address

sanitize-address:
	ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	$(MAKE) BUILD=$(BUILD)/asan SANITIZE=address,undefined OPTIMIZE=-O1 test
# Only what starts threads of our own, stores among it: the sanitizer sees nothing inside Debian's Lua, so elsewhere it proves nothing.
# Tests of stores fork processes that own some.
THREAD_TESTS := $(if $(TEST_SRC),$(shell grep -l 'uv_thread\|pthread_\|watchdog\|place\.h\|orr_store_open\|store = path' $(TEST_SRC)))
sanitize-thread:
	TSAN_OPTIONS=halt_on_error=1:die_after_fork=0 \
	$(MAKE) BUILD=$(BUILD)/tsan SANITIZE=thread OPTIMIZE=-O1 TEST_SRC='$(THREAD_TESTS)' test-c

-include bench/bench.mk

.PHONY: clean help
clean: ## remove everything built
	rm -rf $(BUILD)

help: ## print this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(filter Makefile bench/%,$(MAKEFILE_LIST))
