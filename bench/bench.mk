# The benchmarks (included by the Makefile). Programs are built in $(BUILD)/bench with the flags of
# the product; the packages they need are the part `bench` of vendor/manifest.tsv.
#
#   make bench                     everything, about fifteen minutes on a quiet machine
#   make bench BENCH_QUICK=1       a tenth of the size, one round: does it work?
#   make bench BENCH="start exec"  some sections: graphs, load, json, rows, sleep, sim, start,
#                                  exec, workers, durable, recovery, opening, lists, frame
#   make bench-record              everything, and the results go into docs/benchmarks.md
#   make bench-paths               recorded workflows in virtual time, the longest path first and in
#                                  plain order; RECORDED names the files
#   make bench-peers               durable workflows beside DBOS and Restate, which npm fetches
#                                  into $(BUILD)/peers
#   make bench-peers-record        the same, and the results go into docs/benchmarks.md

BENCH       ?=
BENCH_QUICK ?=
BENCH_CORE  := $(addprefix $(BUILD)/bench/,bare_graph core_graph timeit)
BENCH_API   := $(addprefix $(BUILD)/bench/,api_graph frame)
BENCH_BIN   := $(BENCH_CORE) $(BENCH_API) $(BUILD)/bench/bare_resume \
  $(BUILD)/bench/disk_limits $(BUILD)/bench/tbb_graph
ifeq ($(origin CXX),default)
CXX := g++
endif

.PHONY: bench bench-record bench-programs
bench-programs: $(BENCH_BIN)

# make is a contestant too: it must not find the job server of the make that runs it.
bench: bench-programs $(BUILD)/orrery ## run the benchmarks (BENCH_QUICK=1: the short form)
	@env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL BENCH_QUICK=$(BENCH_QUICK) $(LUA) bench/run.lua $(BUILD) $(BENCH)

bench-record: bench ## run the benchmarks and write the results into docs/benchmarks.md
	@$(LUA) bench/record.lua $(BUILD)/bench/results.md docs/benchmarks.md

RECORDED ?= $(sort $(wildcard ../shared/corpus/wfinstances/public/*.json))
.PHONY: bench-paths
bench-paths: $(BUILD)/orrery ## run recorded workflows in virtual time, by path and in plain order
	@$(BUILD)/orrery bench/critical_path.lua $(RECORDED)

# The peers: their versions are pinned by bench/peers/package.json, and what they need of the
# machine is the part `peers` of the manifest. Their programs stand beside the packages, where node
# looks for those.
PEER_PROGRAMS := $(patsubst bench/peers/%,$(BUILD)/peers/%,$(wildcard bench/peers/*.mjs))
$(BUILD)/peers/package.json $(PEER_PROGRAMS): $(BUILD)/peers/%: bench/peers/%
	@mkdir -p $(@D)
	@cp $< $@

$(BUILD)/peers/installed: $(BUILD)/peers/package.json | $(BUILD)/have-peers
	$(call say,NPM)
	$(Q)cd $(@D) && npm install --ignore-scripts --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: bench-peers bench-peers-record
bench-peers: $(BUILD)/orrery
bench-peers: $(BUILD)/peers/installed $(PEER_PROGRAMS) ## run durable workflows beside DBOS and Restate
	@mkdir -p $(BUILD)/bench
	@BENCH_QUICK=$(BENCH_QUICK) $(BUILD)/orrery bench/peers/run.lua $(BUILD)

bench-peers-record: bench-peers ## run them and write the results into docs/benchmarks.md
	@$(LUA) bench/record.lua $(BUILD)/bench/peers.md docs/benchmarks.md peers

$(BENCH_BIN): bench/graphs.h bench/sample.h | $(BUILD)/have-bench

$(BENCH_CORE): $(BUILD)/bench/%: bench/%.c $(BUILD)/libcore.a
	@mkdir -p $(@D)
	$(call say,BENCH)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(BUILD)/libcore.a $(SYSTEM_LIBS)

$(BUILD)/bench/bare_resume: bench/bare_resume.c
	@mkdir -p $(@D)
	$(call say,BENCH)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(LUA_A) $(SYSTEM_LIBS)

$(BUILD)/bench/disk_limits: bench/disk_limits.c
	@mkdir -p $(@D)
	$(call say,BENCH)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(SQLITE_A) $(SYSTEM_LIBS)

$(BENCH_API): $(BUILD)/bench/%: bench/%.c $(BUILD)/liborrery.a
	@mkdir -p $(@D)
	$(call say,BENCH)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -Wl,-E -o $@ $< $(BUILD)/liborrery.a $(STATIC_LIBS)

$(BUILD)/bench/tbb_graph: bench/tbb_graph.cpp
	@mkdir -p $(@D)
	$(call say,BENCH)
	$(Q)$(CXX) $(OPTIMIZE) -std=c++17 -Wall -Wextra -Wpedantic -Wshadow $(LDFLAGS) -o $@ $< -ltbb
