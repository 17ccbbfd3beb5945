// node-addon-api, whose inline code is not ours to keep free of conversion warnings.
#pragma once

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#endif

#include <napi.h>

#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
