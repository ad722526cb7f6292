// What JavaScript may call.
#pragma once

// Before a function: exports it as `name`. Its arguments and result are numbers; pointers are offsets into the memory.
#define LIGHTM_EXPORT(name) extern "C" __attribute__((export_name(#name)))
