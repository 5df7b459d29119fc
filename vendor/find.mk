# Finds the third-party parts listed in manifest.tsv, installing what is missing.
#
# vendor.mk is a makefile that make itself brings up to date before anything else: its rule installs
# the build parts and asks pkg-config once, and later calls of make only read the answers. The other
# parts leave an empty file `have-PART` behind, which targets that need them name as an order-only
# prerequisite.

VENDOR_MK := build/vendor.mk

# Targets that need nothing from the machine must not install anything.
ifneq ($(if $(MAKECMDGOALS),$(filter-out clean help,$(MAKECMDGOALS))),)
include $(VENDOR_MK)
endif

$(VENDOR_MK): vendor/manifest.tsv vendor/install.sh vendor/find.mk
	@mkdir -p $(@D)
	@vendor/install.sh build
	@libdir=$$(pkg-config --variable=libdir lua5.4); { \
	  echo "VENDOR_CFLAGS := $$(pkg-config --cflags lua5.4 lua5.4-luv libuv libcurl libpq)"; \
	  echo "LUA := $$(command -v lua5.4)"; \
	  echo "LUA_SHARE := /usr/share/lua/5.4"; \
	  echo "LUA_A := $$libdir/liblua5.4.a"; \
	  echo "LUV_A := $$libdir/liblua5.4-luv.a"; \
	  echo "LPEG_A := $$libdir/liblua5.4-lpeg.a"; \
	  echo "UV_A := $$libdir/libuv_a.a"; \
	  echo "SQLITE_A := $$libdir/libsqlite3.a"; \
	  echo "MD_A := $$libdir/libmd.a"; \
	  echo "Z_A := $$libdir/libz.a"; \
	  echo "LUA_SO := $$libdir/liblua5.4.so"; \
	  echo "LUV_SO := $$libdir/liblua5.4-luv.so"; \
	  echo "LPEG_SO := $$libdir/liblua5.4-lpeg.so"; \
	  echo "UV_SO := $$(pkg-config --libs-only-l libuv)"; \
	} >$@.tmp && mv $@.tmp $@

$(BUILD)/have-%: vendor/manifest.tsv vendor/install.sh
	@mkdir -p $(@D)
	@vendor/install.sh $*
	@touch $@
