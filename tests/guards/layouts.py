"""Tiny trees in the layouts of three public cohorts: noise in place of scans, nobody's data."""

import io
from pathlib import Path

import av
import nibabel
import numpy as np
import pandas as pd
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid


def volume(path: Path, seed: int) -> None:
    """A NIfTI file of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).random((8, 9, 7), np.float32)
    nibabel.Nifti1Image(noise, np.eye(4)).to_filename(path)


def series(folder: Path, seed: int) -> None:
    """A folder of three DICOM slices of noise."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(seed).integers(0, 1000, (3, 8, 8), np.uint16)
    uid = generate_uid(entropy_srcs=[str(seed)])
    for number, pixels in enumerate(noise):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        slice_ = FileDataset(io.BytesIO(), {}, file_meta=meta, preamble=b"\0" * 128)
        slice_.SOPClassUID = MRImageStorage
        slice_.SOPInstanceUID = generate_uid(entropy_srcs=[str(seed), str(number)])
        slice_.SeriesInstanceUID = uid
        slice_.Modality = "MR"
        slice_.Rows = slice_.Columns = 8
        slice_.BitsAllocated = slice_.BitsStored = 16
        slice_.HighBit, slice_.PixelRepresentation, slice_.SamplesPerPixel = 15, 0, 1
        slice_.PhotometricInterpretation = "MONOCHROME2"
        slice_.PixelSpacing = [1.0, 1.0]
        slice_.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        slice_.ImagePositionPatient = [0, 0, number]
        slice_.PixelData = pixels.tobytes()
        slice_.save_as(folder / f"ADNI_I{seed}_{number}.dcm", enforce_file_format=True)


def clip(path: Path, seed: int) -> None:
    """A video of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as video:
        stream = video.add_stream("libx264", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            frame = rng.integers(0, 255, (32, 32), np.uint8)
            video.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "gray")))
        video.mux(stream.encode(None))


def adni() -> None:
    """Two patients, one of them with a repeat, DICOM and NIfTI, and an image nobody examined."""
    images = [
        ("002_S_0295", "MP-RAGE", "2006-04-18_08_20_30.0", 13722),
        ("002_S_0295", "MP-RAGE_REPEAT", "2006-04-18_08_20_30.0", 13723),
        ("002_S_0295", "MP-RAGE", "2006-11-02_08_16_44.0", 28560),
        ("002_S_0295", "Localizer", "2006-11-02_08_16_44.0", 28561),
        ("011_S_0003", "MPRAGE", "2005-09-01_10_00_00.0", 11),
        ("011_S_0003", "MPRAGE", "2008-09-01_10_00_00.0", 12),
    ]
    for number, (patient, kind, moment, image) in enumerate(images):
        folder = Path("ADNI", patient, kind, moment, f"I{image}")
        if patient.startswith("002"):
            series(folder, image)
        else:
            volume(folder / f"ADNI_{patient}_I{image}.nii", number)
    exams = [
        ("002_S_0295", "bl", "2006-03-29", 30, 84.8),
        ("002_S_0295", "m06", "2006-10-20", 28, 84.8),
        ("011_S_0003", "bl", "2005-09-12", 20, 81.3),
    ]
    frame = pd.DataFrame(exams, columns=["PTID", "VISCODE", "EXAMDATE", "MMSE", "AGE"])
    frame.assign(RID=1, PTGENDER="Male", DX_bl="CN", SITE=2, COLPROT="ADNI1").to_csv(
        "ADNIMERGE.csv", index=False
    )


def oasis() -> None:
    """Two patients, a second run in one session, and a session far from any examination."""
    names = ["01_d0129_run-01", "01_d0129_run-02", "01_d0757", "02_d0653", "02_d2345"]
    for number, name in enumerate(names):
        patient, day, *run = name.split("_")
        file = "_".join([f"sub-OAS300{patient}", f"ses-{day}", *run, "T1w.nii.gz"])
        volume(Path(f"OASIS3/OAS300{patient}_MR_{day}/anat{number}/{file}"), number)
    exams = [
        ("OAS30001", 0, 65.2, 28, 0.0),
        ("OAS30001", 700, 67.1, 29, 0.0),
        ("OAS30002", 600, 70.0, 24, 0.5),
    ]
    columns = ["OASISID", "days_to_visit", "age at visit", "MMSE", "CDRTOT"]
    frame = pd.DataFrame(exams, columns=columns)
    frame.assign(OASIS_session_label="made up").to_csv("OASIS3_UDSb4_cdr.csv", index=False)
    people = pd.DataFrame({"OASISID": ["OAS30001", "OAS30002"], "GENDER": [2, 1]})
    people.to_csv("OASIS3_demographics.csv", index=False)


def blues() -> None:
    """Two patients, a second clip of one point, and a clip nobody graded."""
    names = ["1_L1", "1_R2", "2_L1", "2_L1_2", "2_L3"]
    for number, name in enumerate(names):
        clip(Path(f"lus_videos/patient_{name}.mp4"), number)
    graded = [f"patient_{name}" for name in names[:-1]]
    pd.DataFrame(
        {
            "video_file": graded,
            "Severity Score": [0.0, 1.0, 3.0, 2.0],
            "A-lines": ["yes", "no", "no", "yes"],
            "B-lines": ["no", "yes ", "yes", "yes"],
            "comments": ["", "a remark", "", ""],
        }
    ).to_csv("severity.csv", index=False)
    people = {"patient_id": [1, 2], "cov_test": [1, 0], "pat_age": [60.0, -99.0]}
    pd.DataFrame(people | {"pat_sex": [0.0, 1.0], "CRP": [12.0, -99.0]}).to_csv(
        "clinical_variables.csv", index=False
    )
