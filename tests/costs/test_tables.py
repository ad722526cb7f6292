from lightm_unet.costs.counting import NetworkCost
from lightm_unet.costs.paper_costs import PRINTED, PaperCosts, PaperRow, Ratio
from lightm_unet.costs.tables import print_paper
from lightm_unet.costs.thop_convention import ThopCount


def test_the_papers_tables_show_printed_recounted_and_true_side_by_side(capsys):
    def row(index, *, thop, true):
        return PaperRow(PRINTED[index], ThopCount(*thop), NetworkCost(*true))

    rows = (
        row(2, thop=(92_617_971, 391_346_388_992), true=(93_029_619, 175_992_995_840, 0)),
        row(6, thop=(126_564_526, 5_594_983_170_048), true=(46_325_134, 59_759_722_496, 0)),
        row(
            11, thop=(1_091_810, 267_185_553_408), true=(5_375_991, 61_496_885_248, 18_983_419_904)
        ),
    )
    print_paper(PaperCosts(rows, (Ratio(2, "parameters", 126.56 / 1.09, 8.617, 18.285),)))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "UNETR 92.62 92.62 93.03 1891.35 391.35* 175.99 0.00" in lines
    assert lines.count("* not reproduced") == 1
    assert "LightM-UNet 1.09 1.09 5.38 267.19 267.19 61.50 18.98" in lines
    assert "2D parameters 116x 8.62x 18.3x" in lines
    text = " ".join(lines)
    assert "5 of 6 printed numbers are reproduced" in text
    # 126,564,526 / 46,325,134 and 5,375,991 / 1,091,810
    assert "116x in 2D is about the true 8.62, times 2.73 for layers of nnU-Net counted" in text
    assert "times 4.92 for LightM-UNet's Mamba layers" in text
    assert "UNETR: the recounted GFLOPs" in text
