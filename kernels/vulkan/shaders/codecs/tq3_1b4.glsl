#define BITS 3
#define GROUP 4u
#define LEVELS0 0x7f4b290du
#define LEVELS1 0x5e371e0au
#include "layouts/tq_1b.glsl"
