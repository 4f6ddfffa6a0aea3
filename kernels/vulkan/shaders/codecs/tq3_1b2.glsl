#define BITS 3
#define GROUP 2u
#define LEVELS0 0x7f49270cu
#define LEVELS1 0x5d351c09u
#include "layouts/tq_1b.glsl"
