/* The curve in portable C. */
#include "sm2_point.h"

affine sm2_secret_base[SECRET_BASE_WINDOWS][SECRET_BASE_ENTRIES];
affine sm2_public_base[PUBLIC_TABLE_POINTS];

const sm2_curve sm2_curve_portable = SM2_CURVE_TABLE("portable");

int sm2_fill_secret_base(void)
{
    affine g = {SM2_GX, SM2_GY};
    return fill_table(&sm2_secret_base[0][0], SECRET_BASE_WINDOWS, SECRET_BASE_ENTRIES, 6, &g)
           && public_table(sm2_public_base, &g);
}
