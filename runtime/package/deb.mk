# The package for Debian: build/orrery_VERSION_ARCHITECTURE.deb (included by package.mk).

DEB_ROOT := $(BUILD)/deb/root
DEB_FROM := $(PACKAGE)/debian
DEB_ARCH  = $(shell dpkg --print-architecture)
DEB       = $(BUILD)/orrery_$(ORR_VERSION)_$(DEB_ARCH).deb

# What the command opens at first use: the manifest knows.
DEB_OPENED := awk -F'\t' '$$1 == "build" && $$6 ~ /opened at first use/ && $$2 !~ /-dev$$/ { print $$2 }' \
  vendor/manifest.tsv | paste -sd, | sed 's/,/, /g'
# The parts that the library and the module are linked with. luv and LPeg tell no versions.
DEB_LINKED := cd $(BUILD)/deb && dpkg-shlibdeps --ignore-missing-info -O root/usr/bin/orrery \
  root/usr/lib/*.so.0 root/usr/lib/lua/5.4/orrery/core.so 2>/dev/null | sed 's/^shlibs:Depends=//'

# The same sources give the same bytes: all times are that of the last commit.
.PHONY: deb
deb: all | $(BUILD)/have-deb ## the package for Debian, with the service and manual pages
	$(Q)rm -rf $(BUILD)/deb
	$(Q)$(MAKE) --no-print-directory install DESTDIR=$(DEB_ROOT) PREFIX=/usr >/dev/null
	$(Q)strip --strip-unneeded $(DEB_ROOT)/usr/lib/*.so.0 $(DEB_ROOT)/usr/lib/lua/5.4/orrery/core.so
	$(Q)gzip -9n $(DEB_ROOT)/usr/share/man/man1/orrery.1
	$(Q)install -D -m 644 LICENSE $(DEB_ROOT)/usr/share/doc/orrery/copyright
	$(Q)gzip -9nc CHANGELOG.md | install -D -m 644 /dev/stdin $(DEB_ROOT)/usr/share/doc/orrery/changelog.gz
	$(Q)install -D -m 644 $(DEB_FROM)/orrery.service $(DEB_ROOT)/lib/systemd/system/orrery.service
	$(Q)install -D -m 644 $(DEB_FROM)/sysusers.conf $(DEB_ROOT)/usr/lib/sysusers.d/orrery.conf
	$(Q)install -d $(DEB_ROOT)/etc/orrery/flows $(DEB_ROOT)/DEBIAN $(BUILD)/deb/debian
	$(Q)install -m 755 $(DEB_FROM)/postinst $(DEB_ROOT)/DEBIAN/postinst
	$(Q)install -m 644 $(DEB_FROM)/triggers $(DEB_ROOT)/DEBIAN/triggers
	$(Q)printf 'Source: orrery\n\nPackage: orrery\nArchitecture: any\n' >$(BUILD)/deb/debian/control
	$(Q)linked="$$($(DEB_LINKED))" && [ -n "$$linked" ] && opened="$$($(DEB_OPENED))" && \
	  size=$$(du -sk --exclude=DEBIAN $(DEB_ROOT) | cut -f1) && \
	  sed -e "s|@VERSION@|$(ORR_VERSION)|; s|@ARCHITECTURE@|$(DEB_ARCH)|; s|@SIZE@|$$size|" \
	    -e "s|@DEPENDS@|$$linked|; s|@RECOMMENDS@|$$opened, ca-certificates|" \
	    $(DEB_FROM)/control.in >$(DEB_ROOT)/DEBIAN/control
	$(Q)SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || date +%s) \
	  dpkg-deb --root-owner-group --build $(DEB_ROOT) $(DEB) >/dev/null
	$(call installed,package,$(DEB))
