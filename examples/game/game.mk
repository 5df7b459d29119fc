# The town (included by the Makefile).
#
#   make game                      builds it and opens its window
#   make game GAME='--headless --frames 600 --seed 7'

GAME      ?=
GAME_SRC  := $(sort $(wildcard examples/game/*.c))
GAME_BIN  := $(BUILD)/examples/game/town

.PHONY: game
game: $(GAME_BIN) ## a town of workflows in a window (GAME=options)
	$(GAME_BIN) $(GAME)

$(call object,$(GAME_SRC)): | $(BUILD)/have-game
$(GAME_BIN): $(call object,$(GAME_SRC)) $(BUILD)/liborrery.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -Wl,-E -o $@ $^ $(STATIC_LIBS) -lSDL2
