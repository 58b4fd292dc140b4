/* SPDX-License-Identifier: MIT */
/* Status names and texts from the one list, and filling an hw_error. */
#include "headway/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

const char *hw_status_name(hw_status code)
{
    switch (code) {
#define NAME(name, text)                                                                           \
    case name: return #name;
        HW_STATUS_LIST(NAME)
#undef NAME
    }
    return "HW_UNKNOWN";
}

const char *hw_status_text(hw_status code)
{
    switch (code) {
#define TEXT(name, text)                                                                           \
    case name: return text;
        HW_STATUS_LIST(TEXT)
#undef TEXT
    }
    return "a status this version does not know";
}

hw_status hw_fail(hw_error *err, hw_status code, const char *format, ...)
{
    int os_error = errno;
    if (err) {
        va_list args;
        err->code = code;
        err->os_error = code == HW_SYSTEM ? os_error : 0;
        va_start(args, format);
        if (vsnprintf(err->message, sizeof err->message, format, args) < 0)
            err->message[0] = '\0';
        va_end(args);
        errno = os_error;
    }
    return code;
}
