#define BITS 4
#define GROUP 8u
#define LEVELS0 0x2e201206u
#define LEVELS0_HIGH 0x7f654e3du
#define LEVELS1 0x20160d04u
#define LEVELS1_HIGH 0x5947372au
#include "layouts/tq_1b.glsl"
