#define BITS 3
#define GROUP 8u
#define LEVELS0 0x7f4d2b0eu
#define LEVELS1 0x5d381f0au
#include "layouts/tq_1b.glsl"
