/* xml_lib.h - the functions of libexpat that we use, opened at run time. Private to
 * runtime/rows/xml*.c. */
#ifndef ORR_ROWS_XML_LIB_H
#define ORR_ROWS_XML_LIB_H

#define XML_DTD /* declares the bounds; Debian's libexpat is built with them */
#include <expat.h>

/* 2.4 (2021) has all that is used here; it bounds what entities make of a document. */
#define ORR_XML_FUNCTIONS(X)                                                                                 \
    X(ParserCreate)                                                                                          \
    X(ParserFree)                                                                                            \
    X(SetUserData)                                                                                           \
    X(SetElementHandler)                                                                                     \
    X(SetCharacterDataHandler)                                                                               \
    X(SetSkippedEntityHandler)                                                                               \
    X(SetExternalEntityRefHandler)                                                                           \
    X(SetUnknownEncodingHandler)                                                                             \
    X(SetAttlistDeclHandler)                                                                                 \
    X(SetBillionLaughsAttackProtectionMaximumAmplification)                                                  \
    X(SetBillionLaughsAttackProtectionActivationThreshold)                                                   \
    X(Parse)                                                                                                 \
    X(StopParser)                                                                                            \
    X(GetErrorCode)                                                                                          \
    X(ErrorString)                                                                                           \
    X(GetSpecifiedAttributeCount)                                                                            \
    X(GetCurrentLineNumber)                                                                                  \
    X(GetCurrentColumnNumber)                                                                                \
    X(GetCurrentByteIndex)

#define ORR_XML_MEMBER(name) __typeof__(XML_##name) *(name);
typedef struct orr_xml_lib {
    ORR_XML_FUNCTIONS(ORR_XML_MEMBER)
} orr_xml_lib;
#undef ORR_XML_MEMBER

/* The functions; the same at every call and in every thread. NULL with a sentence in *why when the
 * library or one of them is missing. */
const orr_xml_lib *orr_xml_lib_get(const char **why);

#endif
