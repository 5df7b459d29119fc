# Orrery's build. `make help` lists the targets; everything made goes to $(BUILD).
#
# What is missing on the machine is installed from Debian's packages by vendor/install.sh, part by
# part, the first time a target needs it (see vendor/find.mk). Build variants (sanitizers, lint) are
# this makefile run again with another BUILD and other flags, so there is one list of sources and
# one set of rules.

BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
MAKEFLAGS += --no-builtin-rules
# As many jobs as processors, unless this is a make inside a make or something is to be removed
# first.
ifeq ($(MAKELEVEL)$(filter clean,$(MAKECMDGOALS)),0)
MAKEFLAGS += --jobs=$(shell nproc)
endif
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

SONAME  := liborrery.so.0
EXAMPLE ?= examples/tour.lua

include vendor/find.mk

# ---- flags ---------------------------------------------------------------------------------------

ifeq ($(origin CC),default)
CC := gcc
endif
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion
OPTIMIZE ?= -O2
CFLAGS   ?= $(OPTIMIZE) -g1
# Everything is position independent and hidden: one set of objects serves the command, the archive
# and the shared objects, and between hidden functions position independence costs nothing.
override CFLAGS += -std=gnu11 $(WARNINGS) $(if $(WERROR),-Werror) -fPIC -fvisibility=hidden \
  -ffunction-sections -fdata-sections \
  $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer)
# Under a sanitizer the core checks its invariants after each call (runtime/core/check.c).
override CPPFLAGS += -D_GNU_SOURCE $(if $(SANITIZE),-DORR_CHECK) -Iruntime -Iruntime/include $(VENDOR_CFLAGS)
override LDFLAGS += $(if $(SANITIZE),-fsanitize=$(SANITIZE))
# Mistakes of ours end the process before they can be used, and nothing of the tables that calls go
# through can be written once it runs. The library's checks of the C library need an optimizing
# compiler, and sanitizers do the same better.
override CFLAGS += -fstack-protector-strong -fstack-clash-protection
override CPPFLAGS += $(if $(SANITIZE)$(filter -O0,$(CFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
override LDFLAGS += -Wl,-z,relro,-z,now,-z,noexecstack
# Addresses that depend on where the command is loaded take two bytes in place of twenty-four; and
# nothing unwinds C but a debugger, which has tables of its own.
PACKED_RELOCATIONS ?= -Wl,-z,pack-relative-relocs
override LDFLAGS += $(if $(SANITIZE),,$(PACKED_RELOCATIONS))
override CFLAGS += $(if $(SANITIZE),,-fno-asynchronous-unwind-tables)
# The same sources give the same bytes in whatever folder.
override CFLAGS += -ffile-prefix-map=$(CURDIR)=.
SYSTEM_LIBS := -lm -ldl -lpthread
ifdef SANITIZE
export ORRERY_SANITIZED := $(SANITIZE)
endif

# What is built is built anew where the compiler or its flags have changed since: a file keeps them.
# ccache and the folder make no other objects.
FLAGS := $(filter-out ccache -ffile-prefix-map=%,$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS))
BUILT_WITH := $(BUILD)/built-with
ifneq ($(FLAGS),$(file <$(BUILT_WITH)))
.PHONY: $(BUILT_WITH)
endif
$(BUILT_WITH):
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS))' >$@

# ---- sources -------------------------------------------------------------------------------------

ROOMS    := core core/plan port loop store store/record store/queue store/tables store/sqlite store/sim \
  lua rows fiber worker run durable bind api
LIB_SRC  := $(foreach room,$(ROOMS),$(sort $(wildcard runtime/$(room)/*.c)))
HOST_SRC := $(sort $(wildcard runtime/host/*.c))
LUA_NOTES := $(sort $(wildcard lua/orrery/library/*.lua))
LUA_SRC  := $(filter-out $(LUA_NOTES),$(sort $(shell find lua/orrery stdlib -name "*.lua")))
TEST_SRC := $(sort $(wildcard spec/c/test_*.c))
TEST_AID := $(filter-out $(TEST_SRC),$(sort $(wildcard spec/c/*.c)))
EMBED_SRC := $(sort $(wildcard examples/embed/*.c examples/site/*.c))

object   = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB_OBJ  := $(call object,$(LIB_SRC)) $(BUILD)/obj/embedded.o
HOST_OBJ := $(call object,$(HOST_SRC))
TEST_BIN := $(patsubst spec/c/%.c,$(BUILD)/spec/%,$(TEST_SRC))
EMBED_BIN := $(patsubst %.c,$(BUILD)/%,$(EMBED_SRC))
-include examples/game/game.mk
HOSTS_SRC := $(EMBED_SRC) $(GAME_SRC)

# A test that includes nothing above the core is linked with the core alone. That it links shows
# that the core knows nothing else, and a fault in another room does not stop the work on this one.
WIDE_INCLUDES := "(port|loop|store|lua|rows|fiber|run|durable|bind|api)/|(place|tables|web|orrery|lua|uv)\.h
WIDE_TEST_SRC := $(if $(TEST_SRC),$(shell grep -lE '$(WIDE_INCLUDES)' $(TEST_SRC)))
WIDE_TEST_BIN := $(patsubst spec/c/%.c,$(BUILD)/spec/%,$(WIDE_TEST_SRC))
CORE_TEST_BIN := $(filter-out $(WIDE_TEST_BIN),$(TEST_BIN))

# ---- what is built -------------------------------------------------------------------------------

# Recipes print one short line; V=1 prints the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' '$(1)' '$@')

.PHONY: all lib
all: $(BUILD)/orrery lib shared-files ## build the command and the libraries
lib: $(BUILD)/liborrery.a $(BUILD)/liborrery.so $(BUILD)/lib/orrery/core.so

$(BUILD)/obj/%.o: %.c $(BUILT_WITH) | $(VENDOR_MK)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/embedded.o: $(BUILD)/gen/embedded.c $(BUILT_WITH)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# The page as two modules: its files as they are, and compressed as they are sent.
PAGE_SRC := $(sort $(foreach kind,html css js svg,$(wildcard lua/orrery/page/*.$(kind))))
PAGE_LUA := $(BUILD)/gen/page_plain.lua $(BUILD)/gen/page_packed.lua
$(PAGE_LUA): $(BUILD)/gen/page_%.lua: runtime/host/pack.lua $(PAGE_SRC) lua/orrery/page | $(VENDOR_MK)
	@mkdir -p $(@D)
	$(call say,PACK)
	$(Q)$(LUA) runtime/host/pack.lua $* $(PAGE_SRC) >$@

# Our Lua, argparse and LPeg's `re` as a C array; compressed but for what a cold start loads.
LUA_DIRS := $(shell find lua/orrery stdlib -type d)
EMBED := runtime/host/embed.lua runtime/host/start_modules.lua
$(BUILD)/gen/embedded.c: $(EMBED) $(LUA_SRC) $(PAGE_LUA) $(LUA_DIRS) | $(VENDOR_MK)
	@mkdir -p $(@D)
	$(call say,EMBED)
	$(Q)$(LUA) $(word 1,$(EMBED)) $(if $(SANITIZE),--lines) $(word 2,$(EMBED)) $(LUA_SRC) \
	  $(foreach kind,plain packed,orrery.page.$(kind)=$(BUILD)/gen/page_$(kind).lua) \
	  argparse=$(LUA_SHARE)/argparse.lua re=$(LUA_SHARE)/re.lua >$@

$(BUILD)/libcore.a: $(filter $(BUILD)/obj/runtime/core/%,$(LIB_OBJ))
$(BUILD)/liborrery.a: $(LIB_OBJ)
$(BUILD)/spec/libaid.a: $(call object,$(TEST_AID))
$(BUILD)/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR)
	$(Q)$(AR) rcsD $@ $^

# The archives of Lua, luv, LPeg, libuv, SQLite, libmd and zlib are linked statically. Lua's is
# taken whole. What has a public name is exported, so that C modules of the system find every
# function of Lua in the command itself, and no second Lua, libuv or SQLite is loaded. Nothing in
# the process unwinds their frames: debuggers do without the tables for it.
PUBLIC := lua_ luaL_ luaopen_ luv_ uv_ sqlite3_ orr_
STATIC_LIBS = $(LUV_A) $(LPEG_A) -Wl,--whole-archive $(LUA_A) -Wl,--no-whole-archive $(UV_A) \
  $(SQLITE_A) $(MD_A) $(Z_A) $(SYSTEM_LIBS)
SHARED_LIBS = $(LUV_SO) $(UV_SO) -lsqlite3 -lmd -lz $(SYSTEM_LIBS)

NO_UNWINDING := runtime/host/no_unwinding.ld
$(BUILD)/orrery: $(HOST_OBJ) $(BUILD)/liborrery.a $(NO_UNWINDING)
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) $(if $(SANITIZE),,-pie -s -Wl,--no-eh-frame-hdr -Wl,-T,$(NO_UNWINDING)) \
	  -Wl,--gc-sections -Wl,-O1 $(PUBLIC:%=-Wl,--export-dynamic-symbol='%*') -Wl,--hash-style=gnu \
	  -o $@ $(filter-out $(NO_UNWINDING),$^) $(STATIC_LIBS)

# What shells and man read about the command, made by the command itself from the table of its
# options.
COMPLETIONS := bash-completion/completions/orrery zsh/site-functions/_orrery \
  fish/vendor_completions.d/orrery.fish
JSON_SCHEMA := orrery/definition.schema.json
SHARED_FILES := $(COMPLETIONS) man/man1/orrery.1 $(JSON_SCHEMA)
.PHONY: shared-files
shared-files: $(addprefix $(BUILD)/share/,$(SHARED_FILES))
$(addprefix $(BUILD)/share/,$(COMPLETIONS)): $(BUILD)/share/%: $(BUILD)/orrery
	@mkdir -p $(@D)
	$(call say,MAKE)
	$(Q)$(BUILD)/orrery completions $(word 1,$(subst -, ,$(subst /, ,$*))) >$@
$(BUILD)/share/man/man1/orrery.1: $(BUILD)/orrery
	@mkdir -p $(@D)
	$(call say,MAKE)
	$(Q)$(BUILD)/orrery help --man >$@
$(BUILD)/share/$(JSON_SCHEMA): $(BUILD)/orrery
	@mkdir -p $(@D)
	$(call say,MAKE)
	$(Q)$(BUILD)/orrery types --schema >$@

# It needs Lua itself: a program may open it at run time without knowing of Lua. One that has Lua's
# functions, or another copy of the library, comes first where they are looked up. What is exported
# is the header's.
EXPORTED := runtime/api/exported.map
$(BUILD)/liborrery.so: $(LIB_OBJ) $(EXPORTED)
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,$(SONAME) -Wl,--gc-sections -Wl,--version-script=$(EXPORTED) \
	  -o $@ $(LIB_OBJ) $(LPEG_SO) $(SHARED_LIBS) $(LUA_SO)

# One line for each thing that is there afterwards: installed = (what, path).
installed = @printf '  %-12s %s\n' '$(1)' '$(DESTDIR)$(2)'

include runtime/package/package.mk

# The module of a Lua that runs already, without the C API.
$(BUILD)/lib/orrery/core.so: $(filter-out $(BUILD)/obj/runtime/api/%,$(LIB_OBJ))
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,--gc-sections -o $@ $^ $(SHARED_LIBS)

$(CORE_TEST_BIN): $(BUILD)/spec/%: $(BUILD)/obj/spec/c/%.o $(BUILD)/spec/libaid.a $(BUILD)/libcore.a \
  | $(BUILD)/have-test
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(SYSTEM_LIBS)

$(WIDE_TEST_BIN): $(BUILD)/spec/%: $(BUILD)/obj/spec/c/%.o $(BUILD)/spec/libaid.a $(BUILD)/liborrery.a \
  | $(BUILD)/have-test
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -Wl,-E -o $@ $^ $(STATIC_LIBS) -lcmocka

$(EMBED_BIN): $(BUILD)/%: $(BUILD)/obj/%.o $(BUILD)/liborrery.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -Wl,-E -o $@ $^ $(STATIC_LIBS)

$(call object,$(TEST_SRC) $(TEST_AID)): | $(BUILD)/have-test

DEPS := $(patsubst %.o,%.d,$(LIB_OBJ) $(HOST_OBJ) $(call object,$(TEST_SRC) $(TEST_AID) $(HOSTS_SRC)))
-include $(DEPS)
.SECONDARY:

# ---- using it ------------------------------------------------------------------------------------

.PHONY: run test test-c test-spec
run: $(BUILD)/orrery ## run a workflow with live progress (EXAMPLE=file for another)
	$(BUILD)/orrery run $(EXAMPLE)

# T=json: the C tests and specs of that name, or else all with it in their names. Only what they
# need is built.
ifdef T
T_ALL := $(TEST_SRC) $(sort $(wildcard spec/*_spec.lua))
T_SAME := $(filter spec/c/test_$(T).c spec/$(T)_spec.lua spec/c/$(T).c spec/$(T).lua $(T),$(T_ALL))
T_NEAR := $(strip $(foreach file,$(T_ALL),$(if $(findstring $(T),$(notdir $(file))),$(file))))
T_FILES := $(or $(T_SAME),$(T_NEAR))
T_SPECS := $(filter %.lua,$(T_FILES))
T_NEEDS := $(patsubst spec/c/%.c,$(BUILD)/spec/%,$(filter %.c,$(T_FILES))) $(if $(T_SPECS),$(BUILD)/orrery) \
  $(if $(filter spec/embed_spec.lua spec/site_spec.lua,$(T_SPECS)),$(EMBED_BIN)) \
  $(if $(filter spec/game_spec.lua,$(T_SPECS)),$(GAME_BIN))
test: $(T_NEEDS) | $(BUILD)/have-test
	@$(if $(T_FILES),spec/support/test.sh $(BUILD) $(T_FILES),$(LUA) spec/support/near.lua '$(T)' $(T_ALL))
else
test: test-build ## run every test, or those with a name (T=json)
	@spec/support/test.sh $(BUILD)
endif

# C tests and specs alone, for working on one side.
test-c: $(TEST_BIN)
	@spec/support/test.sh $(BUILD) c
test-spec: $(BUILD)/orrery $(EMBED_BIN) $(GAME_BIN) | $(BUILD)/have-test
	@spec/support/test.sh $(BUILD) lua

# Specs that need a server of another project, which they start themselves. T=load: some of them.
.PHONY: services
SERVICE_SPECS := $(sort $(wildcard spec/services/*_spec.lua))
SERVICE_FILES := $(foreach file,$(SERVICE_SPECS),$(if $(findstring $(or $(T),_),$(notdir $(file))),$(file)))
services: $(BUILD)/orrery | $(BUILD)/have-test $(BUILD)/have-services ## specs on real servers (T=load)
	@spec/support/test.sh $(BUILD) $(or $(SERVICE_FILES),$(error no file of spec/services has $(T) in its name))

-include spec/page/page.mk

# CRASH_KILLS, CRASH_SEED and CRASH_ONLY (boundaries, random, pair) as spec/crash/main.lua says.
.PHONY: crash
crash: $(BUILD)/orrery $(BUILD)/spec/test_power_cut ## kill processes, cut the power (CRASH_KILLS=)
	$(BUILD)/orrery spec/crash/main.lua
# STORM_SECONDS, STORM_HANDS and STORM_SEED as spec/crash/storm_main.lua says.
.PHONY: storm
storm: $(BUILD)/orrery ## every command at the same time on one store, for ten minutes (STORM_SECONDS=)
	$(BUILD)/orrery spec/crash/storm_main.lua
	POWER_CUT_WORKLOADS=1000 $(BUILD)/spec/test_power_cut

# Random workflows on simulated disks; a seed that is printed is played again by spec/sim/main.lua.
.PHONY: sim
SIM_SEEDS ?= 20000
SIM_SEED  ?= 1
sim: $(BUILD)/orrery ## play the engine through crashes and races in virtual time (SIM_SEEDS=)
	$(BUILD)/orrery spec/sim/main.lua $(SIM_SEEDS) $(SIM_SEED)

.PHONY: zones
zones: $(BUILD)/orrery | $(BUILD)/have-test ## compare every time zone with zdump, 1970 to 2100
	@ZONES=all spec/support/test.sh $(BUILD) spec/zones_spec.lua

# FUZZ_SECONDS for each target, FUZZ="json http" for some of them, FUZZ_SEED to repeat a round.
FUZZ         ?=
FUZZ_SECONDS ?= 60
.PHONY: fuzz
fuzz: $(BUILD)/orrery ## try texts that strangers may send, a minute each (FUZZ_SECONDS=)
	$(BUILD)/orrery spec/fuzz/main.lua --seconds $(FUZZ_SECONDS) $(if $(FUZZ_SEED),--seed $(FUZZ_SEED)) $(FUZZ)

.PHONY: test-build
test-build: all $(TEST_BIN) $(EMBED_BIN) $(GAME_BIN) | $(BUILD)/have-test

# ---- installing ----------------------------------------------------------------------------------

LUADIR ?= $(PREFIX)/share/lua/5.4
LIBDIR ?= $(PREFIX)/lib/lua/5.4

.PHONY: install install-module rock
COMMA := ,
install: all install-library install-module ## install to DESTDIR and PREFIX (/usr/local)
	$(Q)install -D -m 755 $(BUILD)/orrery $(DESTDIR)$(PREFIX)/bin/orrery
	$(call installed,command,$(PREFIX)/bin/orrery)
	$(Q)for file in $(SHARED_FILES); do \
	  install -D -m 644 $(BUILD)/share/$$file $(DESTDIR)$(PREFIX)/share/$$file || exit 1; done
	$(call installed,manual page,$(PREFIX)/share/man/man1/orrery.1)
	$(call installed,JSON Schema,$(PREFIX)/share/$(JSON_SCHEMA))
	$(call installed,completions,$(PREFIX)/share/{bash-completion$(COMMA)zsh$(COMMA)fish})

# What `require "orrery"` needs in a plain Lua 5.4; the rock installs exactly this.
install-module: $(BUILD)/lib/orrery/core.so $(PAGE_LUA)
	$(Q)for file in $(PAGE_LUA); do name=$${file##*/page_}; \
	  install -D -m 644 $$file $(DESTDIR)$(LUADIR)/orrery/page/$$name || exit 1; done
	$(Q)for file in $(patsubst lua/orrery/%,%,$(filter lua/%,$(LUA_SRC)) $(LUA_NOTES)); do \
	  install -D -m 644 lua/orrery/$$file $(DESTDIR)$(LUADIR)/orrery/$$file || exit 1; done
	$(Q)for file in $(patsubst stdlib/%,%,$(filter stdlib/%,$(LUA_SRC))); do \
	  install -D -m 644 stdlib/$$file $(DESTDIR)$(LUADIR)/orrery/stdlib/$$file || exit 1; done
	$(Q)install -D -m 755 $(BUILD)/lib/orrery/core.so $(DESTDIR)$(LIBDIR)/orrery/core.so
	$(call installed,Lua module,$(LUADIR)/orrery)

ROCKS := $(abspath $(BUILD))/rocks
rock: lib | $(BUILD)/have-rock ## build the rock, install it into build/rocks and run a workflow with it
	env -u MAKEFLAGS -u MAKELEVEL luarocks --lua-version 5.4 --tree $(ROCKS) \
	  make --no-doc --deps-mode none orrery-scm-1.rockspec
	LUA_PATH='$(ROCKS)/share/lua/5.4/?.lua;$(ROCKS)/share/lua/5.4/?/init.lua;;' \
	LUA_CPATH='$(ROCKS)/lib/lua/5.4/?.so;;' $(LUA) spec/support/rock.lua

# ---- checking ------------------------------------------------------------------------------------

.PHONY: rooms rooms-picture
ROOM_OBJ := $(LIB_OBJ) $(HOST_OBJ)
rooms: $(ROOM_OBJ) ## draw the rooms of runtime/ and compare them with the table in docs/architecture.md
	@$(LUA) spec/rooms/rooms.lua $(BUILD)
rooms-picture: $(ROOM_OBJ)
	@$(LUA) spec/rooms/rooms.lua $(BUILD) --write

.PHONY: lint lint-gcc lint-clang lint-tidy lint-lua lint-layout format objects
.PHONY: sanitize sanitize-address sanitize-thread
C_SRC := $(LIB_SRC) $(HOST_SRC) $(FULL_SRC) $(TEST_SRC) $(TEST_AID) $(HOSTS_SRC) $(sort $(wildcard bench/*.c))
objects: $(call object,$(C_SRC)) $(BUILD)/obj/embedded.o

lint: lint-gcc lint-clang lint-tidy lint-lua lint-layout ## two compilers, clang-tidy, luacheck, layout
lint-gcc lint-clang: lint-%: | $(BUILD)/have-test $(BUILD)/have-lint
	$(MAKE) BUILD=$(BUILD)/lint-$* CC=$* WERROR=1 objects

TIDY_STAMPS := $(patsubst %.c,$(BUILD)/tidy/%.ok,$(C_SRC))
lint-tidy: $(TIDY_STAMPS)
$(BUILD)/tidy/%.ok: %.c .clang-tidy $(wildcard runtime/*/*.h runtime/*/*/*.h) \
  | $(BUILD)/have-test $(BUILD)/have-lint
	@mkdir -p $(@D)
	$(call say,TIDY)
	$(Q)clang-tidy --quiet --warnings-as-errors='*' $< -- $(CPPFLAGS) -std=gnu11 -fvisibility=hidden 2>/dev/null
	@touch $@

lint-lua: | $(BUILD)/have-lint
	luacheck --quiet lua stdlib spec examples bench runtime/host/embed.lua runtime/package

C_FILES := $(sort $(C_SRC) $(wildcard runtime/*.h runtime/*/*.h runtime/*/*/*.h) \
  $(wildcard runtime/include/*.hpp spec/c/*.h))
LUA_FILES = $(sort $(shell find lua stdlib spec examples bench runtime -name '*.lua') $(wildcard *.rockspec))
MAKEFILE_SRC := Makefile $(sort $(wildcard */*.mk */*/*.mk))
# A planted fault is a line of C as it stands, in one string.
WIDTHS_LEFT_OUT := spec/mutants/faults/%
lint-layout: | $(BUILD)/have-lint
	@clang-format --dry-run -Werror $(C_FILES)
	@$(LUA) spec/support/widths.lua $(C_FILES) $(filter-out $(WIDTHS_LEFT_OUT),$(LUA_FILES) $(MAKEFILE_SRC))
	@$(LUA) spec/support/parameters.lua $(filter runtime/%,$(C_FILES))
format: | $(BUILD)/have-lint ## lay out all C as .clang-format says
	@clang-format -i $(C_FILES)

# One after the other: some tests measure time.
sanitize: ## C tests and specs under address, undefined, leak and thread sanitizers
	@$(MAKE) sanitize-address; address=$$?; $(MAKE) sanitize-thread && exit $$address

LSAN_KNOWN := suppressions=$(CURDIR)/spec/support/lsan_known:print_suppressions=0
sanitize-address:
	ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	LSAN_OPTIONS=$(LSAN_KNOWN) \
	$(MAKE) BUILD=$(BUILD)/asan SANITIZE=address,undefined OPTIMIZE=-O1 test
# Only what starts threads of our own, stores among it: the sanitizer sees nothing inside Debian's
# Lua, so elsewhere it proves nothing. Tests of stores fork processes that own some. What is known
# of it is told by both stacks, so the longest history is kept.
THREAD_WORDS := workers\|uv_thread\|pthread_\|watchdog\|place\.h\|orr_store_open\|store = path
THREAD_TESTS := $(if $(TEST_SRC),$(shell grep -l '$(THREAD_WORDS)' $(TEST_SRC)))
TSAN_KNOWN := :suppressions=$(CURDIR)/spec/support/tsan_known
sanitize-thread:
	TSAN_OPTIONS=halt_on_error=1:die_after_fork=0:history_size=7$(TSAN_KNOWN) \
	$(MAKE) BUILD=$(BUILD)/tsan SANITIZE=thread OPTIMIZE=-O1 TEST_SRC='$(THREAD_TESTS)' test-c

-include bench/bench.mk
-include spec/systems/systems.mk

.PHONY: errors
errors: ## write docs/errors.md from the code, or say what lacks a text
	@$(LUA) spec/errors/main.lua

.PHONY: nodes
nodes: $(BUILD)/orrery ## write docs/nodes.md from the node types
	@$(BUILD)/orrery spec/nodes/main.lua

# For editors that ask a language server: how each file is compiled.
compile_commands.json: Makefile vendor/manifest.tsv ## write how C is compiled, for a language server
	@separator='['; for file in $(C_SRC); do \
	  printf '%s\n{"directory": "%s", "file": "%s", "command": "%s"}' "$$separator" '$(CURDIR)' "$$file" \
	    '$(strip $(CC) $(CPPFLAGS) $(CFLAGS)) -c '"$$file"; separator=','; done >$@; echo ']' >>$@

# How many faults CI plants: MUTANTS=n, chosen by MUTANTS_SEED; all of them where it is not given.
.PHONY: mutants
mutants: $(BUILD)/orrery ## plant faults and see whether the tests catch them (MUTANTS=n for a sample)
	$(LUA) spec/mutants/main.lua $(if $(MUTANTS),--sample $(MUTANTS) --seed $(or $(MUTANTS_SEED),1))

.PHONY: clean help
clean: ## remove everything built
	rm -rf $(BUILD)

help: ## print this list
	@awk -F':.*## ' '/^[a-z._-]+:.*## / {printf "make %-21s %s\n", $$1, $$2}' \
	  $(filter Makefile bench/% examples/% spec/%,$(MAKEFILE_LIST))
